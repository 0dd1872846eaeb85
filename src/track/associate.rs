//! Which detection continues which track: the greatest sum of overlaps, as SORT has it, found in the small groups into which a frame
//! falls. Boxes that do not touch are never joined.

use super::assign::{Assigner, Costs};
use super::bounds::Bounds;

/// Associates; its buffers are reused.
#[derive(Debug, Clone, Default)]
pub(super) struct Associator {
    detections: Vec<(usize, Bounds)>,
    tracks: Vec<(usize, Bounds)>,
    overlaps: Vec<Overlap>,
    groups: Groups,
    assigner: Assigner,
    costs: Vec<f64>,
    pairs: Vec<(usize, usize)>,
}

/// Two boxes that touch, by their places in the lists.
#[derive(Debug, Clone, Copy)]
struct Overlap {
    group: usize,
    detection: usize,
    track: usize,
    iou: f64,
}

impl Associator {
    /// Pairs of (detection, track), each named by the number that came with its box.
    pub(super) fn pairs(
        &mut self,
        detections: impl Iterator<Item = (usize, Bounds)>,
        tracks: impl Iterator<Item = (usize, Bounds)>,
        threshold: f64,
    ) -> &[(usize, usize)] {
        self.detections.clear();
        self.detections.extend(detections);
        self.tracks.clear();
        self.tracks.extend(tracks);
        self.pairs.clear();
        self.find_overlaps();
        // Where nobody competes above the threshold, SORT takes those pairs as they are, without looking at lesser overlaps.
        if !self.take_uncontested(threshold) {
            self.take_best(threshold);
        }
        &self.pairs
    }

    /// Tracks from left to right, so that those that begin beyond a detection's right edge are skipped in one step.
    fn find_overlaps(&mut self) {
        self.overlaps.clear();
        self.tracks.sort_unstable_by(|a, b| a.1.x1.total_cmp(&b.1.x1));
        for (d, (_, detection)) in self.detections.iter().enumerate() {
            for (t, (_, track)) in self.tracks.iter().enumerate() {
                if track.x1 >= detection.x2 {
                    break;
                }
                let iou = if track.x2 > detection.x1 { detection.iou(track) } else { 0.0 };
                if iou > 0.0 {
                    self.overlaps.push(Overlap { group: 0, detection: d, track: t, iou });
                }
            }
        }
    }

    fn take_uncontested(&mut self, threshold: f64) -> bool {
        let above = |o: &&Overlap| o.iou > threshold;
        self.groups.reset(self.detections.len() + self.tracks.len());
        let offset = self.detections.len();
        let mut any = false;
        for o in self.overlaps.iter().filter(above) {
            any = true;
            // Both stood alone until now, or somebody competes.
            if !self.groups.join_alone(o.detection, offset + o.track) {
                return false;
            }
        }
        let pairs =
            self.overlaps.iter().filter(above).map(|o| (self.detections[o.detection].0, self.tracks[o.track].0));
        self.pairs.extend(pairs);
        any
    }

    fn take_best(&mut self, threshold: f64) {
        let offset = self.detections.len();
        self.groups.reset(offset + self.tracks.len());
        for o in &self.overlaps {
            self.groups.join(o.detection, offset + o.track);
        }
        for o in &mut self.overlaps {
            o.group = self.groups.root(o.detection);
        }
        self.overlaps.sort_unstable_by_key(|o| (o.group, o.detection, o.track));
        for group in self.overlaps.chunk_by(|a, b| a.group == b.group) {
            let chosen = choose(group, &mut self.assigner, &mut self.costs);
            let chosen = chosen.filter(|o| o.iou >= threshold);
            self.pairs.extend(chosen.map(|o| (self.detections[o.detection].0, self.tracks[o.track].0)));
        }
    }
}

/// Of a group's overlaps those with the greatest sum that name nobody twice.
fn choose<'a>(
    group: &'a [Overlap],
    assigner: &'a mut Assigner,
    costs: &mut Vec<f64>,
) -> impl Iterator<Item = &'a Overlap> + use<'a> {
    let (detections, tracks) = (numbers(group, |o| o.detection), numbers(group, |o| o.track));
    let is_wide = detections.len() <= tracks.len();
    let (rows, columns) = if is_wide { (detections, tracks) } else { (tracks, detections) };
    costs.clear();
    costs.resize(rows.len() * columns.len(), 0.0);
    let place = move |o: &Overlap| {
        let (row, column) = if is_wide { (o.detection, o.track) } else { (o.track, o.detection) };
        (rows.partition_point(|&r| r < row), columns.partition_point(|&c| c < column), columns.len())
    };
    for o in group {
        let (row, column, width) = place(o);
        costs[row * width + column] = -o.iou;
    }
    let width = group.first().map_or(0, |o| place(o).2);
    let row_of = assigner.assign(Costs { values: costs, columns: width });
    group.iter().filter(move |o| {
        let (row, column, _) = place(o);
        row_of[column] == Some(row)
    })
}

fn numbers(group: &[Overlap], of: impl Fn(&Overlap) -> usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = group.iter().map(of).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Sets that are joined (union-find).
#[derive(Debug, Clone, Default)]
struct Groups {
    parent: Vec<usize>,
    is_joined: Vec<bool>,
}

impl Groups {
    fn reset(&mut self, len: usize) {
        self.parent.clear();
        self.parent.extend(0..len);
        self.is_joined.clear();
        self.is_joined.resize(len, false);
    }

    fn root(&mut self, mut of: usize) -> usize {
        while self.parent[of] != of {
            self.parent[of] = self.parent[self.parent[of]];
            of = self.parent[of];
        }
        of
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a.max(b)] = a.min(b);
    }

    /// Marks two as joined; false when one of them was already.
    fn join_alone(&mut self, a: usize, b: usize) -> bool {
        let were = [a, b].map(|i| std::mem::replace(&mut self.is_joined[i], true));
        were == [false, false]
    }
}
