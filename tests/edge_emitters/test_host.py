"""This host's telemetry agrees with what psutil says."""

from __future__ import annotations

import time

import psutil

from edge_emitters.host import Host
from edge_emitters.settings import EmitterSettings
from schemas import wire
from schemas.settings import Section, read
from schemas.telemetry import NodeTelemetry, ReplicaSample


def test_a_sample_is_within_what_the_host_has() -> None:
    host = Host("this")
    until = time.monotonic() + 0.2
    while time.monotonic() < until:
        pass
    sample = host.sample()
    memory = psutil.virtual_memory()
    assert sample.cpu_allocatable_milli in range(1_000, 1_000 * (psutil.cpu_count() or 1) + 1)
    assert 0 < sample.cpu_used_milli <= sample.cpu_allocatable_milli
    assert sample.mem_allocatable_bytes == memory.total
    assert abs(sample.mem_used_bytes - (memory.total - memory.available)) < memory.total // 10
    assert 0 < sample.fs_used_bytes < sample.fs_allocatable_bytes
    assert abs(sample.observed_at_ms - time.time() * 1000) < 2_000


def test_samples_are_numbered_and_counters_only_grow() -> None:
    host = Host("this")
    first, second = host.sample(), host.sample()
    assert (second.boot_id, second.sequence) == (first.boot_id, first.sequence + 1)
    assert second.net_rx_bytes_total >= first.net_rx_bytes_total
    assert Host("this").sample().boot_id != first.boot_id


def test_a_host_without_a_gateway_says_its_site_itself_and_names_its_replicas() -> None:
    replica = ReplicaSample(app_id="video", instance_id="i1")
    said = Host("this", replicas=lambda: [replica]).telemetry("a")
    assert wire.decode(NodeTelemetry, wire.encode_json(said)) == said
    assert (said.site_id, said.node_id, said.replicas) == ("a", "this", (replica,))


class _Process(Section, frozen=True):
    emitter: EmitterSettings = EmitterSettings()


def test_settings_name_the_site_and_the_folder_or_they_are_found(tmp_path: object) -> None:
    given = read(
        _Process, environ={"EDGEWEIR_EMITTER_SITE_ID": "a/1", "EDGEWEIR_EMITTER_BUFFER_MIB": "2"}
    ).value.emitter
    assert given.site == "a/1"
    assert given.buffer_bytes == 2 * 1_048_576
    assert given.buffer_folder.name == "a-1"
    named = read(_Process, environ={"EDGEWEIR_EMITTER_BUFFER_DIR": str(tmp_path)}).value.emitter
    assert str(named.buffer_folder) == str(tmp_path)
    assert named.site
