"""Ultralytics' tracker loop as its documentation shows it: model.track over a clip, ByteTrack, the same ONNX file.

ultralytics_track.py MODEL.onnx CLIP THREADS CONFIDENCE: prints one JSON line, the loop's own time without imports.
"""
import json
import sys
import time

import torch
from ultralytics import YOLO


def main():
    model, clip, threads, confidence = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    torch.set_num_threads(threads)
    yolo = YOLO(model, task="detect")
    results = yolo.track(source=clip, stream=True, conf=confidence, tracker="bytetrack.yaml", imgsz=640, device="cpu", verbose=False)
    # It loads the model with the first frame, which is therefore not counted.
    frames = found = 0
    for result in results:
        if frames == 0:
            began, cpu = time.perf_counter(), time.process_time()
        else:
            found += len(result.boxes)
        frames += 1
    took = {"secs": time.perf_counter() - began, "cpu_secs": time.process_time() - cpu}
    print(json.dumps({"frames": frames - 1, "detections": found, **took}))


main()
