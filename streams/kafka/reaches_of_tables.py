"""Table of internals, second part: recovery, tables, senders, and what else; see ``streams.kafka.internals``."""

from __future__ import annotations

from afresh.streams.kafka.reach import Reach, of

CONSUMER = "faust.transport.consumer.Consumer"
MESSAGE = "faust.types.tuples.Message"
TABLE = "faust.tables.base.Collection"
RECOVERY = "faust.tables.recovery.Recovery"
MANAGER = "faust.tables.manager.TableManager"

RECOVERY_TESTS = "tests/streams/kafka/test_recovery.py"
TABLE_TESTS = "tests/streams/kafka/test_tables.py"
RUNNER_TESTS = "tests/streams/runs/test_runner.py"

REACHES_OF_TABLES = (
    Reach(
        where="streams/kafka/recovery.py",
        why="Where a source goes on is decided when its rows are recovered, and before Faust seeks: a topic that was "
        "made again, cut short or replaced would be skipped or counted twice.",
        test=f"{RECOVERY_TESTS}::test_starts_are_found_once_rows_are_recovered_and_before_the_first_seek",
        overrides=of(
            RECOVERY,
            _resume_streams="async (self, generation_id=0)",
            on_recovery_completed="async (self, generation_id=0)",
        ),
    ),
    Reach(
        where="streams/kafka/recovery.py",
        why="Faust trusts positions kept on disk, and crashes again and again when one is beyond the end of the "
        "changelog. For rows without a position, it goes on from an older recovery.",
        test=f"{RECOVERY_TESTS}::test_rows_with_a_position_outside_the_changelog_are_read_anew",
        overrides=of(
            RECOVERY,
            _add="(self, table, tp, offsets)",
            _build_offsets="async (self, consumer, tps, destination, title)",
        ),
        issue="faust-streaming/faust#158",
    ),
    Reach(
        where="streams/kafka/recovery.py",
        why="A metric shows how long a recovery takes.",
        test=f"{RECOVERY_TESTS}::test_a_recovery_is_timed_from_its_rebalance",
        overrides=of(
            RECOVERY,
            on_rebalance="async (self, assigned, revoked, newly_assigned, generation_id=0)",
            on_recovery_completed="async (self, generation_id=0)",
        ),
    ),
    Reach(
        where="streams/kafka/recovery.py",
        why="Faust has no setting for the class that recovers tables.",
        test=f"{RECOVERY_TESTS}::test_recovery_goes_on_where_the_rows_end",
        overrides=of(MANAGER, recovery="property"),
        sets=of(MANAGER, _recovery="RunRecovery"),
    ),
    Reach(
        where="streams/kafka/tables.py",
        why="Our stores keep rows separately for each partition, and a run writes its rows together. Faust's tables "
        "send one record for every row that is set.",
        test=f"{TABLE_TESTS}::test_a_rebalance_drops_the_rows_of_partitions_that_left_or_are_new",
        overrides=of(
            TABLE,
            __init__="(self, app, *, name=None, default=None, store=None, schema=None, key_type=None, value_type=None, "
            "partitions=None, window=None, changelog_topic=None, help=None, on_recover=None, on_changelog_event=None, "
            "recovery_buffer_size=1000, standby_buffer_size=None, extra_topic_configs=None, recover_callbacks=None, "
            "options=None, use_partitioner=False, on_window_close=None, is_global=False, "
            "synchronize_all_active_partitions=False, **kwargs)",
            persisted_offset="(self, tp)",
            on_rebalance="async (self, assigned, revoked, newly_assigned, generation_id=0)",
            on_recovery_completed="async (self, active_tps, standby_tps)",
        ),
        issue="robinhood/faust#718",
    ),
    Reach(
        where="streams/kafka/tables.py",
        why="Faust would open its own store, and declare the changelog with its own defaults.",
        test=f"{TABLE_TESTS}::test_a_table_starts_without_a_store_of_fausts",
        overrides=of(TABLE, on_start="async (self)"),
    ),
    Reach(
        where="streams/kafka/tables.py",
        why="Faust would ask its own store, which is empty. A standby that lags behind would become active.",
        test=f"{TABLE_TESTS}::test_a_standby_is_recovered_before_it_becomes_active",
        overrides=of(TABLE, need_active_standby_for="async (self, tp)"),
    ),
    Reach(
        where="streams/kafka/tables.py",
        why="A changelog message is a run of records. When rows cannot be applied, Faust only logs the error, and goes "
        "on without them.",
        test=f"{RECOVERY_TESTS}::test_rows_that_cannot_be_written_end_the_worker_instead_of_leaving_a_hole",
        overrides=of(TABLE, apply_changelog_batch="(self, batch)"),
    ),
    Reach(
        where="streams/kafka/fence.py",
        why="With a transactional id, a producer refuses to send outside a transaction. The id is removed once Kafka "
        "has given the epoch; the epoch alone makes Kafka refuse earlier writers.",
        test="tests/streams/kafka/test_fence.py::test_a_claim_writes_a_record_of_its_own_before_anything_else",
        sets=of("aiokafka.producer.transaction_manager.TransactionManager", transactional_id="str"),
        uses=of("aiokafka.producer.producer.AIOKafkaProducer", _txn_manager="TransactionManager"),
    ),
    Reach(
        where="streams/kafka/throttling.py",
        why="aiokafka drops the time for which Kafka makes a client wait, so that a recovery under a quota looks like "
        "one that stands still. All requests of all clients pass through this method.",
        test="tests/streams/kafka/test_throttling.py::test_every_client_notes_how_long_kafka_makes_it_wait",
        sets=of(
            "aiokafka.client.AIOKafkaClient",
            send="async (self, node_id, request, *, group=<ConnectionGroup.DEFAULT: 0>)",
        ),
        uses=of("aiokafka.client.AIOKafkaClient", _client_id="str", _sasl_plain_username="NoneType"),
    ),
    Reach(
        where="streams/kafka/sender.py",
        why="A key must go to the partition that any producer would choose.",
        test="tests/streams/kafka/test_sender.py::test_a_key_goes_to_the_partition_that_kafkas_own_clients_choose",
        uses=of("aiokafka.partitioner", murmur2="(data)"),
    ),
    Reach(
        where="streams/runs/runner.py",
        why="Faust would fill the agent's queue with runs of one partition, and all others would wait behind them.",
        test=f"{RUNNER_TESTS}::test_a_partition_is_held_back_until_all_its_runs_have_ended",
        uses=of(CONSUMER, on_buffer_full="(self, tp)", on_buffer_drop="(self, tp)"),
        issue="faust-streaming/faust#53",
    ),
    Reach(
        where="streams/runs/runner.py",
        why="A run fetched under an earlier assignment must not be processed, because it is read again.",
        test=f"{RUNNER_TESTS}::test_a_run_fetched_under_an_earlier_assignment_is_not_processed",
        uses={
            **of(MESSAGE, acked="bool", generation_id="int"),
            **of("faust.types.app.AppT", consumer_generation_id="int"),
        },
    ),
    Reach(
        where="streams/runs/runner.py",
        why="Faust keeps a message until its offset is committed, and with it thousands of records in memory.",
        test="tests/streams/runs/test_overlap.py::test_a_run_that_was_processed_or_dropped_releases_its_records",
        sets={**of(MESSAGE, value="NoneType"), **of("faust.events.Event", value="NoneType")},
    ),
    Reach(
        where="streams/workers/process.py",
        why="Faust's spinner writes to stdout, and would crash the start on a full disk.",
        test="tests/kafka/test_disk.py::test_a_worker_that_cannot_write_its_log_works_as_usual",
        sets=of("faust.worker.Worker", spinner="Spinner"),
    ),
    Reach(
        where="streams/workers/process.py",
        why="Faust does not tell a process that was told to stop from one whose start failed. The first has ended in "
        "order, also where Kafka could not commit in time; the second must be started again.",
        test="tests/streams/workers/test_process.py::test_a_process_that_was_told_to_stop_ends_in_order",
        uses=of("faust.worker.Worker", _signal_stop_time="NoneType"),
    ),
    Reach(
        where="streams/waiting.py",
        why="The documented clients retry a wrong password until their timeout, and do not report the reason.",
        test="tests/kafka/test_security.py::test_a_process_that_kafka_refuses_says_nothing_else",
        uses={
            **of("aiokafka.conn", collect_hosts="(hosts, randomize=True)"),
            **of(
                "aiokafka.conn",
                create_conn="async (host, port, *, client_id='aiokafka', request_timeout_ms=40000, ssl_context=None, "
                "security_protocol='PLAINTEXT', max_idle_ms=None, on_close=None, sasl_mechanism=None, "
                "sasl_plain_username=None, sasl_plain_password=None, sasl_kerberos_service_name='kafka', "
                "sasl_kerberos_domain_name=None, sasl_oauth_token_provider=None)",
            ),
            **of(
                "aiokafka.conn.AIOKafkaConnection",
                send="(self, request, expect_response=True)",
                close="(self, reason=None, exc=None)",
            ),
            **of("aiokafka.protocol.metadata", MetadataRequest="class"),
        },
    ),
)
