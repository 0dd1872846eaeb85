"""What Docker's files name is there: mounted files, copied ones. Called by check-docker.sh; metrics are for the daemon's own tests."""

import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCKER = ROOT / "docker"
faults = []


def expect(is_right, text):
    if not is_right:
        faults.append(text)


def default_of(text):
    """`${NAME:-default}` as it is where NAME is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def check_compose():
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    volumes = set(compose["volumes"])
    for name, service in compose["services"].items():
        expect("image" in service or "build" in service, f"{name}: neither image nor build")
        expect(":latest" not in service.get("image", ""), f"{name}: an image without a version")
        if "build" in service:
            file = default_of(service["build"]["dockerfile"])
            expect((DOCKER / service["build"]["context"] / file).is_file(), f"{name}: no {file}")
        for other in service.get("depends_on", []):
            expect(other in compose["services"], f"{name} depends on {other}, which is no service")
        for port in service.get("ports", []):
            expect(port.startswith("127.0.0.1:"), f"{name}: {port} is open to the network")
        for mount in service.get("volumes", []):
            source = default_of(mount).split(":")[0]
            if source.startswith("."):
                # Models are fetched by the owner; all else lies in the repository.
                expect(source == "../models-cache" or (DOCKER / source).exists(), f"{name}: no {source}")
            else:
                expect(source in volumes, f"{name}: no volume {source}")


def check_copies():
    for file in sorted(DOCKER.glob("Dockerfile.*")):
        for line in file.read_text().splitlines():
            if line.startswith("COPY ") and "--from" not in line:
                for source in line.split()[1:-1]:
                    expect((ROOT / source).exists(), f"{file.name}: COPY {source}: not there")


def check_dashboard():
    dashboard = json.loads((DOCKER / "grafana" / "dashboards" / "peregrine.json").read_text())
    expect(len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]), "two panels of one id")


check_compose()
check_copies()
check_dashboard()
for fault in faults:
    print(fault, file=sys.stderr)
sys.exit(bool(faults))
