"""Tests of what follows from measurements, by the standard library alone: python3 -m unittest (in this folder)."""
import os
import unittest

import measured


class Gaps(unittest.TestCase):
    def gap(self, times, since=10, until=20):
        return measured.largest_gap_ms(times, since, until)

    def test_a_gap_lies_between_two_frames_of_the_span(self):
        self.assertEqual(self.gap([9, 10, 12, 15, 18, 19, 20.5, 30]), 3000)

    def test_one_that_began_before_or_ends_after_counts_whole(self):
        self.assertEqual(self.gap([3, 11, 14, 17, 20]), 8000)
        self.assertEqual(self.gap([10, 13, 16, 19, 27]), 8000)

    def test_a_camera_that_stops_and_does_not_come_back_is_seen(self):
        self.assertEqual(self.gap([9, 10, 11, 12]), 8000)

    def test_one_that_never_came_or_came_late_is_seen_too(self):
        self.assertEqual(self.gap([]), 10000)
        self.assertEqual(self.gap([19, 20]), 9000)

    def test_every_camera_that_is_asked_for_has_an_answer(self):
        frames = measured.Frames(iter(()))
        frames.captured["a"].extend([10, 12, 20])
        self.assertEqual(frames.gaps_ms(["a", "b"], 10, 20), {"a": 8000, "b": 10000})


class Histograms(unittest.TestCase):
    def of(self, *counts):
        line = 'peregrine_stage_duration_seconds_bucket{{stage="infer",le="{}"}} {}'
        page = "\n".join(line.format(edge, count) for edge, count in zip(("0.01", "0.02", "+Inf"), counts))
        return measured.histograms(page, "stage_duration_seconds")["infer"]

    def test_what_was_timed_before_the_mark_does_not_count(self):
        times = measured.times_since(self.of(0, 1000, 1000), self.of(100, 1100, 1100))
        self.assertEqual(times["count"], 100)
        self.assertEqual(times["p50_ms"], 5)

    def test_beyond_the_last_edge_there_is_no_number(self):
        times = measured.times_since({}, self.of(50, 90, 100))
        self.assertEqual((times["p50_ms"], times["p99_ms"]), (10, None))
        self.assertIsNone(measured.times_since({}, {})["p50_ms"])


class Processor(unittest.TestCase):
    def test_what_was_spent_before_the_mark_does_not_count(self):
        process = measured.Process(os.getpid())
        sum(n * n for n in range(2_000_000))
        process.mark()
        self.assertLess(process.whole_since_mark(), process.whole_cpu_secs())
        self.assertFalse(process.cpu_secs)


if __name__ == "__main__":
    unittest.main()
