"""The one way to open a Kafka client: place, security and names from the settings, limits from the contract."""

from __future__ import annotations

import ssl
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from schemas.sections import KafkaSettings, Security

from .topic import Topic

_PROTOCOLS = {
    Security.PLAINTEXT: "PLAINTEXT",
    Security.TLS: "SSL",
    Security.SASL_PLAINTEXT: "SASL_PLAINTEXT",
    Security.SASL_TLS: "SASL_SSL",
}


class Connect:
    """Opens producers, consumers and admins of one cluster; each is given to the caller unstarted."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Nothing is opened yet."""
        self._settings = settings

    @property
    def settings(self) -> KafkaSettings:
        """Which cluster, and how it is spoken to."""
        return self._settings

    @property
    def partitions(self) -> int:
        """How many partitions every keyed topic has, as the settings say."""
        return self._settings.partitions

    def name(self, topic: Topic) -> str:
        """The topic's name on this cluster (with the prefix of this estate)."""
        return self._settings.topic_prefix + topic.name

    def producer(self, client_id: str, **options: Any) -> AIOKafkaProducer:
        """Open an idempotent producer that waits for all in-sync replicas."""
        safe = {"acks": "all", "enable_idempotence": True}
        return AIOKafkaProducer(**self._common(client_id), **(safe | options))

    def consumer(self, client_id: str, **options: Any) -> AIOKafkaConsumer:
        """Open a consumer that commits nothing by itself."""
        return AIOKafkaConsumer(**self._common(client_id), **({"enable_auto_commit": False} | options))

    def admin(self, client_id: str, **options: Any) -> AIOKafkaAdminClient:
        """Open an admin client."""
        return AIOKafkaAdminClient(**self._common(client_id), **options)

    def _common(self, client_id: str) -> dict[str, Any]:
        settings = self._settings
        common: dict[str, Any] = {
            "bootstrap_servers": settings.bootstrap,
            "client_id": client_id,
            "security_protocol": _PROTOCOLS[settings.security],
        }
        if settings.security in (Security.TLS, Security.SASL_TLS):
            common["ssl_context"] = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.security in (Security.SASL_PLAINTEXT, Security.SASL_TLS):
            common["sasl_mechanism"] = settings.sasl_mechanism
            common["sasl_plain_username"] = settings.username
            common["sasl_plain_password"] = settings.password
        return common
