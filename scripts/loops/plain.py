"""The loop that everybody writes first: OpenCV reads a clip, ONNX Runtime runs YOLOv8, NumPy and OpenCV read its head. No tracker.

plain.py MODEL.onnx CLIP THREADS CONFIDENCE: prints one JSON line, the loop's own time without imports and the model's loading.
"""
import json
import sys
import time

import cv2
import numpy as np
import onnxruntime as ort

IOU = 0.45


def letterboxed(frame, side):
    height, width = frame.shape[:2]
    scale = min(side / width, side / height)
    size = round(width * scale), round(height * scale)
    resized = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    padded = cv2.copyMakeBorder(
        resized, top, side - size[1] - top, left, side - size[0] - left, cv2.BORDER_CONSTANT, value=(114, 114, 114)
    )
    return cv2.dnn.blobFromImage(padded, 1 / 255, swapRB=True), scale, left, top


def detections(head, scale, left, top, confidence):
    places = head[0].T
    scores = places[:, 4:]
    classes = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), classes]
    keep = best > confidence
    boxes, best, classes = places[keep, :4].copy(), best[keep], classes[keep]
    boxes[:, :2] -= boxes[:, 2:] / 2
    boxes[:, :2] -= left, top
    boxes /= scale
    chosen = cv2.dnn.NMSBoxesBatched(boxes.tolist(), best.tolist(), classes.tolist(), confidence, IOU)
    return [(classes[i], best[i], boxes[i]) for i in chosen]


def main():
    model, clip, threads, confidence = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    cv2.setNumThreads(threads)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name, side = session.get_inputs()[0].name, session.get_inputs()[0].shape[2]
    began, cpu = time.perf_counter(), time.process_time()
    video, frames, found = cv2.VideoCapture(clip), 0, 0
    while True:
        is_there, frame = video.read()
        if not is_there:
            break
        blob, scale, left, top = letterboxed(frame, side)
        head = session.run(None, {name: blob})[0]
        found += len(detections(head, scale, left, top, confidence))
        frames += 1
    took = {"secs": time.perf_counter() - began, "cpu_secs": time.process_time() - cpu}
    print(json.dumps({"frames": frames, "detections": found, **took}))


main()
