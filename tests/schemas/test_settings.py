"""How a process learns its settings: who wins, what is refused, and what is never shown."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from schemas.errors import BadInput, Fault
from schemas.sections import VOCABULARY, KafkaSettings, Port, Secret, Section, Security
from schemas.settings import Effective, LogSettings, MetricsSettings, read, variable


class ExecutorSection(Section, frozen=True):
    targets: tuple[str, ...] = ("simulated",)
    dry_run: bool = False


class DnsSection(Section, frozen=True):
    server: str
    zone: str
    key_name: str = ""
    key_file: str = ""


class ExecutorSettings(msgspec.Struct, frozen=True, kw_only=True):
    kafka: KafkaSettings = KafkaSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings(port=19_101)
    executor: ExecutorSection = ExecutorSection()
    dns: DnsSection | None = None


FILES = {"/run/secrets/kafka": "s3cret\n"}


def executor(
    environ: Mapping[str, str] | None = None, toml: str | None = None, **overrides: object
) -> Effective[ExecutorSettings]:
    def read_file(path: str) -> str:
        if path not in FILES:
            raise FileNotFoundError(path)
        return FILES[path]

    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return read(ExecutorSettings, overrides=dotted, environ=environ, toml_text=toml, read_file=read_file)


def faults(environ: Mapping[str, str] | None = None, toml: str | None = None, **overrides: object) -> list[str]:
    with pytest.raises(BadInput) as caught:
        executor(environ, toml, **overrides)
    assert caught.value.reason is Fault.SETTINGS
    first, *lines = caught.value.detail.split("\n  ")
    assert first == f"{len(lines)} wrong:"
    return lines


def test_without_anything_said_the_defaults_hold() -> None:
    settings = executor({"HOME": "/root", "PATH": "/bin"})
    assert settings.value == ExecutorSettings()
    assert settings.origins == {}


def test_the_command_line_beats_the_environment_beats_the_file() -> None:
    toml = '[kafka]\nbootstrap = "file:1"\npartitions = 16\nreplication = 3\n'
    environ = {"EDGEWEIR_KAFKA_BOOTSTRAP": "environment:1", "EDGEWEIR_KAFKA_PARTITIONS": "32"}
    settings = executor(environ, toml, kafka__bootstrap="line:1", kafka__topic_prefix=None)
    kafka = settings.value.kafka
    assert (kafka.bootstrap, kafka.partitions, kafka.replication) == ("line:1", 32, 3)
    assert settings.origins == {
        "kafka.bootstrap": "command line",
        "kafka.partitions": "EDGEWEIR_KAFKA_PARTITIONS",
        "kafka.replication": "edgeweir.toml",
    }


def test_texts_become_what_the_setting_is() -> None:
    environ = {
        "EDGEWEIR_EXECUTOR_DRY_RUN": "true",
        "EDGEWEIR_EXECUTOR_TARGETS": "process, dns,",
        "EDGEWEIR_LOG_LEVEL": "debug",
    }
    settings = executor(environ, '[executor]\ntargets = ["simulated"]\n[kafka]\nsecurity = "tls"').value
    assert settings.executor == ExecutorSection(targets=("process", "dns"), dry_run=True)
    assert (settings.log.level, settings.kafka.security) == ("debug", Security.TLS)


def test_a_process_kind_may_declare_defaults_of_its_own() -> None:
    settings = executor({"EDGEWEIR_METRICS_BIND": "::1"}).value
    assert settings.metrics == MetricsSettings(bind="::1", port=19_101)


def test_every_fault_is_told_at_once() -> None:
    environ = {
        "EDGEWEIR_KAFKA_BOOSTRAP": "x:1",
        "EDGEWEIR_KAFKA_PARTITIONS": "many",
        "EDGEWEIR_METRICS_PORT": "70000",
        "EDGEWEIR_ZZZ": "1",
    }
    toml = 'top = 1\n[kafak]\nbootstrap = "x"\n[log]\nlevl = "info"\nlevel = "loud"\nformat = 5\n'
    assert faults(environ, toml, kafka__partition=5, executor__dry_run="perhaps") == [
        "edgeweir.toml: unknown section [top]",
        "edgeweir.toml: unknown section [kafak], did you mean kafka?",
        "edgeweir.toml: unknown key log.levl, did you mean level?",
        "unknown variable EDGEWEIR_KAFKA_BOOSTRAP, did you mean EDGEWEIR_KAFKA_BOOTSTRAP?",
        "unknown variable EDGEWEIR_ZZZ",
        "unknown setting kafka.partition, did you mean kafka.partitions?",
        "kafka.partitions (EDGEWEIR_KAFKA_PARTITIONS): Expected `int`, got `str`",
        "log.level (edgeweir.toml): Invalid enum value 'loud'",
        "log.format (edgeweir.toml): Expected `str`, got `int`",
        "metrics.port (EDGEWEIR_METRICS_PORT): Expected `int` <= 65535",
        "executor.dry_run: Expected `bool`, got `str`",
    ]


def test_a_file_that_is_no_toml_is_one_fault_among_others() -> None:
    lines = faults({"EDGEWEIR_METRICS_PORT": "x"}, "[kafka\n")
    assert lines[0].startswith("edgeweir.toml: Expected ']'")
    assert len(lines) == 2


def test_a_neighbours_settings_and_the_tests_own_variables_are_no_mistakes() -> None:
    environ = {
        "EDGEWEIR_WORKER_APP_ID": "edgeweir", "EDGEWEIR_CONSOLE_PORT": "no matter", "EDGEWEIR_CONFIG": "/etc/e.toml",
        "EDGEWEIR_TEST_BROKER": "x", "EDGEWEIR_FAUST_LOGLEVEL": "x", "EDGEWEIR_DATA": "x", "EDGEWEIR_SAMPLES": "x",
    }  # fmt: skip
    assert executor(environ, '[console]\nport = "no matter"\n').value == ExecutorSettings()


def test_an_optional_section_is_absent_until_one_of_its_keys_is_given_and_then_whole() -> None:
    assert executor().value.dns is None
    given = {"EDGEWEIR_DNS_SERVER": "127.0.0.1:53"}
    assert faults(given) == ["dns.zone is needed: EDGEWEIR_DNS_ZONE"]
    assert executor(given, '[dns]\nzone = "edge.test"\n').value.dns == DnsSection(
        server="127.0.0.1:53", zone="edge.test"
    )


LOGIN = {"EDGEWEIR_KAFKA_SECURITY": "sasl-plaintext", "EDGEWEIR_KAFKA_USERNAME": "worker"}


def test_a_secret_may_be_the_path_of_a_file() -> None:
    settings = executor(LOGIN | {"EDGEWEIR_KAFKA_PASSWORD_FILE": "/run/secrets/kafka"})
    assert settings.value.kafka.password == "s3cret"
    assert settings.origins["kafka.password"] == "EDGEWEIR_KAFKA_PASSWORD_FILE"
    assert executor(LOGIN, '[kafka]\npassword_file = "/run/secrets/kafka"').value.kafka.password == "s3cret"


def test_a_password_of_the_environment_beats_the_files_password_file() -> None:
    toml = '[kafka]\npassword_file = "/run/secrets/kafka"\n'
    assert executor(LOGIN | {"EDGEWEIR_KAFKA_PASSWORD": "other"}, toml).value.kafka.password == "other"


def test_a_secret_given_twice_or_unreadable_is_a_fault_and_stays_secret() -> None:
    twice = LOGIN | {"EDGEWEIR_KAFKA_PASSWORD": "s3cret", "EDGEWEIR_KAFKA_PASSWORD_FILE": "/run/secrets/kafka"}
    assert faults(twice) == ["kafka.password is given twice: EDGEWEIR_KAFKA_PASSWORD and EDGEWEIR_KAFKA_PASSWORD_FILE"]
    assert faults(LOGIN | {"EDGEWEIR_KAFKA_PASSWORD_FILE": "/gone"}) == [
        "kafka.password_file (EDGEWEIR_KAFKA_PASSWORD_FILE): cannot be read: FileNotFoundError",
        "kafka: security sasl-plaintext needs kafka.username and kafka.password (or its file)",
    ]


def test_a_login_without_a_password_fails_at_the_start() -> None:
    assert faults(LOGIN) == ["kafka: security sasl-plaintext needs kafka.username and kafka.password (or its file)"]


def test_what_is_shown_has_its_origin_and_no_secret() -> None:
    settings = executor(LOGIN | {"EDGEWEIR_KAFKA_PASSWORD": "s3cret"}, executor__targets=["process", "dns"])
    shown = {line.key: (line.text, line.origin) for line in settings.shown()}
    assert shown["kafka.password"] == ("***", "EDGEWEIR_KAFKA_PASSWORD")
    assert shown["kafka.security"] == ("sasl-plaintext", "EDGEWEIR_KAFKA_SECURITY")
    assert shown["executor.targets"] == ("process,dns", "command line")
    assert shown["executor.dry_run"] == ("false", "default")
    assert shown["dns"] == ("absent", "default")
    assert "s3cret" not in repr(settings) + str(settings.value.kafka)


def test_an_empty_secret_is_shown_empty() -> None:
    assert next(line.text for line in executor().shown() if line.key == "kafka.password") == ""


class OtherSection(Section, frozen=True):
    ports: tuple[Port, ...] = ()
    token: Secret = ""


class OtherSettings(msgspec.Struct, frozen=True):
    other: OtherSection = OtherSection()


def test_a_key_missing_in_the_vocabulary_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match=r"other\.ports', 'other\.token', 'other\.token_file"):
        read(OtherSettings)


def test_every_key_has_one_variable() -> None:
    names = [variable(f"{section}.{key}") for section, keys in VOCABULARY.items() for key in keys]
    assert len(set(names)) == len(names)
    assert "EDGEWEIR_KAFKA_CA_FILE" in names
