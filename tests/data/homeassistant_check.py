"""Holds announcements to Home Assistant's own schemas, and reads states with its own templates.

Standard input: {"announcements": [{"topic", "payload"}], "states": [{"topic", "payload"}], "values": ["on", "off"]}.
Standard output: {"problems": [...], "entities": {unique_id: {"platform", "state", "attributes", "orders": {value: text}}}}.
A state's text is what the template makes of the last payload on its topic, null where no payload was given.
"""

import asyncio
import importlib
import json
import logging
import sys
import tempfile

import voluptuous as vol
from homeassistant.components.mqtt.discovery import (
    TOPIC_MATCHER,
    MQTTDiscoveryPayload,
    _merge_common_device_options,
    _replace_all_abbreviations,
)
from homeassistant.components.mqtt.models import MqttCommandTemplate, MqttValueTemplate
from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA, SHARED_OPTIONS
from homeassistant.core import HomeAssistant
from homeassistant.helpers.template import Template


class Complaints(logging.Handler):
    """Home Assistant tells of a failed template in its log."""

    def __init__(self, problems):
        super().__init__(logging.WARNING)
        self.problems = problems

    def emit(self, record):
        self.problems.append(f"{record.name}: {record.getMessage()}")


def parts(announcement, problems):
    """The device's common keys and each component's own, as Home Assistant splits them."""
    topic, payload = announcement["topic"], announcement["payload"]
    prefix, _, rest = topic.partition("/")
    if prefix != "homeassistant" or not TOPIC_MATCHER.match(rest):
        problems.append(f"{topic}: no discovery topic")
        return
    device = MQTTDiscoveryPayload(json.loads(payload))
    _replace_all_abbreviations(device)
    try:
        # Home Assistant checks here, and goes on with what was written.
        DEVICE_DISCOVERY_SCHEMA(device)
    except vol.Invalid as error:
        problems.append(f"{topic}: {error}")
        return
    for key, component in device["components"].items():
        component = MQTTDiscoveryPayload(component)
        platform = component.pop("platform")
        component["device"], component["origin"] = device["device"], device["origin"]
        for option in ("qos", "encoding"):
            if option in device and option not in component:
                component[option] = device[option]
        _merge_common_device_options(component, device)
        yield f"{topic} {key}", platform, component


def rendered(hass, template, payload):
    return MqttValueTemplate(Template(template, hass)).async_render_with_possible_json_value(payload)


async def main():
    asked = json.load(sys.stdin)
    states = {s["topic"]: s["payload"] for s in asked["states"]}
    problems, entities = [], {}
    logging.getLogger().addHandler(Complaints(problems))
    with tempfile.TemporaryDirectory() as folder:
        hass = HomeAssistant(folder)
        for announcement in asked["announcements"]:
            for where, platform, config in parts(announcement, problems):
                module = importlib.import_module(f"homeassistant.components.mqtt.{platform}")
                typed = dict(config)
                try:
                    module.DISCOVERY_SCHEMA(MQTTDiscoveryPayload(config))
                except vol.Invalid as error:
                    problems.append(f"{where}: {error}")
                    continue
                known = {str(key) for key in schema_keys(module.DISCOVERY_SCHEMA)}
                for key in sorted(set(typed) - known - set(SHARED_OPTIONS)):
                    problems.append(f"{where}: {platform} has no key {key!r}")
                found = entities[typed["unique_id"]] = {"platform": platform, "state": None, "attributes": None, "orders": {}}
                payload = states.get(typed.get("state_topic"))
                if payload is not None and "value_template" in typed:
                    found["state"] = rendered(hass, typed["value_template"], payload)
                payload = states.get(typed.get("json_attributes_topic"))
                if payload is not None:
                    found["attributes"] = json.loads(rendered(hass, typed["json_attributes_template"], payload))
                if "command_template" in typed:
                    template = MqttCommandTemplate(Template(typed["command_template"], hass))
                    found["orders"] = {value: template.async_render(value) for value in asked["values"]}
        await hass.async_stop(force=True)
    json.dump({"problems": problems, "entities": entities}, sys.stdout)


def schema_keys(schema):
    """Every key that a schema, or a chain of checks with schemas in it, knows."""
    if isinstance(schema, vol.Schema):
        return set(schema.schema) if isinstance(schema.schema, dict) else schema_keys(schema.schema)
    if isinstance(schema, vol.All):
        return set().union(*(schema_keys(v) for v in schema.validators))
    return set()


asyncio.run(main())
