"""What a stream worker tells Prometheus: per chunk and frame, never per event; labels come from enums."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from streams.engine.decode import REASONS
from streams.engine.frames import Frame, Kind
from streams.engine.partition import ALL_MARKS
from streams.engine.tally import Tally
from topics.catalogue import CATALOGUE, Keyspace, Topic

_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
OUTCOMES = ("applied", "duplicate", "late", "stray", "tombstone", "dead-letter")
LOSSES = ("fenced", "failed")


class WorkerMetrics:
    """One worker's series, in a registry of its own. events = the sum of all outcomes (checked per chunk)."""

    def __init__(self) -> None:
        """All label values are there from the start."""
        registry = self.registry = CollectorRegistry()
        self.events = Counter(
            "edgeweir_events_total", "Events read from an input topic.", ["topic", "keyspace"], registry=registry
        )
        self.outcomes = Counter(
            "edgeweir_event_outcomes_total",
            "What became of the events.",
            ["topic", "keyspace", "outcome"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "edgeweir_dead_letters_total", "Refused events by reason.", ["reason"], registry=registry
        )
        self.frames = Counter("edgeweir_frames_total", "Journal frames by kind.", ["kind"], registry=registry)
        self.frame_records = Counter(
            "edgeweir_frame_records_total", "Rows and outbox records journalled.", registry=registry
        )
        self.outputs = Counter("edgeweir_outputs_total", "Outputs that became history.", ["topic"], registry=registry)
        self.takeovers = Counter("edgeweir_takeovers_total", "Partitions taken over.", registry=registry)
        self.takeover_seconds = Gauge(
            "edgeweir_last_takeover_seconds", "How long the last takeover took.", registry=registry
        )
        self.takeover_rows = Gauge(
            "edgeweir_last_takeover_rows", "How many rows the last takeover read.", registry=registry
        )
        self.trims = Counter("edgeweir_journal_trims_total", "Journal partitions trimmed.", registry=registry)
        self.lost = Counter(
            "edgeweir_partitions_lost_total", "Ownerships that ended early.", ["why"], registry=registry
        )
        self.gaps = Counter(
            "edgeweir_input_gaps_total", "Offsets that retention took before they were folded.", registry=registry
        )
        self._histograms(registry)
        self._gauges(registry)
        self._initialise()

    def _histograms(self, registry: CollectorRegistry) -> None:
        self.fold_seconds = Histogram(
            "edgeweir_chunk_fold_seconds",
            "Time to fold a chunk.",
            ["keyspace"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.chunk_events = Histogram(
            "edgeweir_chunk_events",
            "Events of a chunk.",
            ["keyspace"],
            buckets=(1, 3, 10, 30, 100, 300, 1000),
            registry=registry,
        )

    def _gauges(self, registry: CollectorRegistry) -> None:
        self.owned = Gauge("edgeweir_partitions_owned", "Partitions this worker owns.", registry=registry)
        self.rows = Gauge("edgeweir_rows", "Rows of all owned partitions.", registry=registry)
        self.outbox = Gauge("edgeweir_outbox_entries", "Outputs not yet acknowledged.", registry=registry)
        self.lag_seconds = Gauge("edgeweir_lag_seconds", "Age of the oldest unread input.", registry=registry)
        self.view_age_seconds = Gauge("edgeweir_view_age_seconds", "Age of the view.", registry=registry)
        self.view_refused = Gauge(
            "edgeweir_view_records_refused", "Records of the view's topics that were left out.", registry=registry
        )
        self.oldest_frame_seconds = Gauge(
            "edgeweir_oldest_unacknowledged_frame_seconds", "How long the oldest frame waits.", registry=registry
        )
        self.clock_offset_seconds = Gauge(
            "edgeweir_clock_offset_seconds", "How far the broker's clock is ahead of ours.", registry=registry
        )
        self.foreign = Counter(
            "edgeweir_foreign_total",
            "What was met in foreign records: coercions, unused and faulty pieces, refusals.",
            ["dialect", "kind", "name"],
            registry=registry,
        )
        self.ready = Gauge("edgeweir_ready", "1 when all assigned partitions are live.", registry=registry)

    def _initialise(self) -> None:
        for topic, keyspace in ALL_MARKS:
            self.events.labels(topic.name, keyspace)
            for outcome in OUTCOMES:
                self.outcomes.labels(topic.name, keyspace, outcome)
        for reason in REASONS:
            self.dead_letters.labels(reason)
        for why in LOSSES:
            self.lost.labels(why)
        for topic in CATALOGUE:
            self.outputs.labels(topic.name)
        for kind in Kind:
            self.frames.labels(kind.name.lower())

    def serve(self, bind: str, port: int) -> None:
        """Answer scrapes; port 0 serves nothing."""
        if port:
            start_http_server(port, addr=bind, registry=self.registry)

    def chunk(self, topic: Topic, keyspace: Keyspace, tally: Tally, seconds: float) -> None:
        """Count what became of a chunk."""
        assert tally.balances, tally
        if not tally.events:
            return
        self.events.labels(topic.name, keyspace).inc(tally.events)
        dead = sum(tally.refused.values())
        counts = (tally.applied, tally.duplicates, tally.late, tally.strays, tally.tombstones, dead)
        for outcome, count in zip(OUTCOMES, counts, strict=True):
            if count:
                self.outcomes.labels(topic.name, keyspace, outcome).inc(count)
        for reason, count in tally.refused.items():
            self.dead_letters.labels(reason).inc(count)
        for met, count in tally.foreign.items():
            self.foreign.labels(*met).inc(count)
        self.fold_seconds.labels(keyspace).observe(seconds)
        self.chunk_events.labels(keyspace).observe(tally.events)

    def frame(self, frame: Frame) -> None:
        """Count a frame that became history."""
        self.frames.labels(frame.kind.name.lower()).inc()
        self.frame_records.inc(frame.changes + frame.copies)
        for _, entry in frame.outputs:
            self.outputs.labels(entry.topic).inc()
