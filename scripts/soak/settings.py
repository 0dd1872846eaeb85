"""The daemon's configuration for the scene. Belongs here: TOML text, pure."""
import scene

DEVICE = "soak"


def points(of):
    return "[" + ", ".join(f"[{x / scene.SIZE_PX:.6f}, {y / scene.SIZE_PX:.6f}]" for x, y in of) + "]"


def places(camera):
    """Zones and lines of a camera."""
    out = []
    for zone in scene.ZONES:
        out += [
            f"[camera.{camera}.zone.{zone.name}]",
            f"points = {points(zone.points)}",
            f"settle_ms = {scene.SETTLE_MS}",
            f"occupancy = {str(zone.occupancy).lower()}",
        ]
        out += [f"dwell_secs = {zone.dwell_secs}"] if zone.dwell_secs else []
        out += [f"crowd_count = {zone.crowd[0]}", f"crowd_secs = {zone.crowd[1]}"] if zone.crowd else []
    for line in scene.LINES:
        out += [
            f"[camera.{camera}.line.{line.name}]",
            f"points = {points(line.points)}",
            f"directions = {list(line.directions)}".replace("'", '"'),
            f"count_secs = {scene.COUNT_SECS}",
        ]
    return out


def text(*, work, model, clip, port, api_port, cameras, watching=True, rules=True):
    """`watching` false opens no camera: what is left on disk is sent, and nothing is added."""
    out = [
        f'[device]\nname = "{DEVICE}"',
        f'[paths]\nstate = "{work}/state"',
        f'[mqtt]\nbroker = "mqtt://127.0.0.1:{port}"',
        "[publish]\ndetections_hz = 0.0\ntrack_updates_hz = 0.0",
        f'[detect]\nmodel = "{model}"\nengine = "tract"\nthreads = 1\nconfidence = 0.4',
        f"[track]\nmax_age_frames = {scene.MAX_AGE_FRAMES}",
        f'[api]\nlisten = "127.0.0.1:{api_port}"',
    ]
    for camera in cameras:
        out.append(f'[camera.{camera}]\nsource = "{clip}"\nrepeat = true\nenabled = {str(watching).lower()}')
        if rules:
            out.append("appearances = true")
            out += places(camera)
    if rules:
        out += [
            f"[alert.{scene.ALERT}]",
            'on = "dwell"',
            f'cameras = ["{cameras[0]}"]',
            f'zone = "{scene.ALERT_ZONE}"',
            f'classes = ["{scene.ALERT_CLASS}"]',
            'severity = "warning"',
            "cooldown_secs = 0",
        ]
    return "\n".join(out) + "\n"
