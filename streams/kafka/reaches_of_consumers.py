"""Table of internals, first part: the app and its consumers, until runs are handed over; see ``kafka.internals``."""

from __future__ import annotations

from afresh.streams.kafka.reach import Reach, of

APP = "faust.app.base.App"
SERVICE = "mode.services.Service"
DRIVER = "faust.transport.drivers.aiokafka"
THREAD = f"{DRIVER}.AIOKafkaConsumerThread"
CONSUMER = "faust.transport.consumer.Consumer"
DELEGATE = "faust.transport.consumer.ThreadDelegateConsumer"
MESSAGE = "faust.types.tuples.Message"
CLIENT = "aiokafka.consumer.consumer.AIOKafkaConsumer"
FETCHER = "aiokafka.consumer.fetcher.Fetcher"
SUBSCRIPTIONS = "aiokafka.consumer.subscription_state"

APP_TESTS = "tests/streams/kafka/test_app.py"
FETCHER_TESTS = "tests/streams/kafka/test_fetcher.py"
TRANSPORT_TESTS = "tests/streams/kafka/test_transport.py"

REACHES_OF_CONSUMERS = (
    Reach(
        where="streams/kafka/app.py",
        why="While it stops, Faust can wait forever for the thread of its consumer, above all after a crash. Such a "
        "worker does not work, holds its partitions, and is never restarted.",
        test=f"{APP_TESTS}::test_a_stop_that_takes_too_long_ends_with_the_right_status_and_message",
        overrides={
            **of(SERVICE, crash="async (self, reason)"),
            **of(APP, on_stop="async (self)"),
        },
        issue="robinhood/faust#484",
    ),
    Reach(
        where="streams/kafka/app.py",
        why="Faust starts the tasks of an app after the recovery, if that has begun by then, else at once. Ours run "
        "meanwhile: they read the Catalogue, and say that Kafka throttles the recovery.",
        test=f"{APP_TESTS}::test_tasks_do_not_wait_for_a_recovery_that_has_begun",
        overrides=of(APP, _wait_for_table_recovery_completed="async (self)"),
    ),
    Reach(
        where="streams/kafka/app.py",
        why="If somebody adds partitions to a topic, an agent would meet a table without its rows. A batch of an "
        "earlier owner would land behind what recovery has read. So the assignment is checked and claimed before "
        "Faust asks for the end offsets of changelogs.",
        test="tests/kafka/test_partitions.py::"
        "test_workers_end_when_a_topic_gets_a_partition_and_until_then_count_nothing_wrong",
        overrides=of(APP, _on_partitions_assigned="async (self, assigned, generation_id=0)"),
        issue="robinhood/faust#137",
    ),
    Reach(
        where="streams/kafka/app.py",
        why="Claims and outgoing records need producers besides Faust's own, with the same settings.",
        test=f"{APP_TESTS}::test_one_more_producer_has_the_settings_of_fausts_own",
        overrides=of(
            APP, __init__="(self, id, *, monitor=None, config_source=None, loop=None, beacon=None, **options)"
        ),
        uses=of(f"{DRIVER}.Producer", _new_producer="(self, transactional_id=None)"),
    ),
    Reach(
        where="streams/kafka/app.py",
        why="Faust makes its consumer at the first use. The thread of the metrics page asks while the app starts. Both "
        "threads made a consumer, and the app waited forever for the one never started.",
        test=f"{APP_TESTS}::test_asking_for_assigned_partitions_makes_no_second_consumer",
        uses=of(APP, consumer="property", _consumer="RunConsumer"),
    ),
    Reach(
        where="streams/kafka/app.py",
        why="A Faust URL can only name Faust's own transports; ours moves runs.",
        test=f"{APP_TESTS}::test_an_app_moves_runs_and_knows_all_brokers",
        sets=of(APP, transport="property"),
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="Faust spends about 150 µs on every message, whatever the agent does with it. Here a run is one message.",
        test=f"{APP_TESTS}::test_an_app_moves_runs_and_knows_all_brokers",
        overrides={
            **of(f"{DRIVER}.Transport", Consumer="class"),
            **of(f"{DRIVER}.Consumer", _new_consumer_thread="(self)"),
        },
        issue="robinhood/faust#563",
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="Faust uses five tasks to wait for each delivery, and every task costs turns of the event loop: at a few "
        "hundred runs a second, each run waited for 30 ms.",
        test=f"{TRANSPORT_TESTS}::test_runs_with_offsets_already_read_are_not_delivered_again",
        overrides=of(CONSUMER, _drain_messages="async (self, fetcher)"),
        uses=of(CONSUMER, _read_offset="defaultdict"),
        issue="robinhood/faust#563",
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="A poll does not end when a partition is released, or the flow stops: short polls instead took a tenth of "
        "a core from a worker at rest.",
        test=f"{TRANSPORT_TESTS}::test_what_may_be_read_changes_and_the_wait_for_records_ends",
        overrides=of(CONSUMER, on_buffer_drop="(self, tp)", stop_flow="(self)"),
        uses=of(CONSUMER, _buffered_partitions="set"),
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="Faust sleeps a whole second while every partition is held back.",
        test=f"{TRANSPORT_TESTS}::test_while_every_partition_is_held_back_the_consumer_waits_only_a_moment",
        overrides=of(CONSUMER, _wait_next_records="async (self, timeout)"),
        uses=of(CONSUMER, _get_active_partitions="(self)"),
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="The last step of a rebalance is that Faust empties the agents' queues, after the seek to the committed "
        "offsets. Source records delivered in between would be lost.",
        test=f"{TRANSPORT_TESTS}::test_during_a_rebalance_only_the_changelogs_of_active_partitions_are_read",
        overrides=of(DELEGATE, _getmany="async (self, active_partitions, timeout)"),
        issue="faust-streaming/faust#596",
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="Faust sorts all acknowledged offsets to find the one to commit, and can pass a run that is still being "
        "processed. Here runs wait in their order, and the commit ends before the first one not acknowledged.",
        test=f"{TRANSPORT_TESTS}::test_the_offset_to_commit_ends_before_the_first_unacknowledged_run",
        overrides={
            **of(DELEGATE, __init__="(self, *args, **kwargs)"),
            **of(CONSUMER, ack="(self, message)", _new_offset="(self, tp)"),
            **of(CONSUMER, _filter_tps_with_pending_acks="(self, topics=None)"),
        },
        sets=of(MESSAGE, acked="bool"),
        uses=of(CONSUMER, _unacked_messages="WeakSet"),
        issue="faust-streaming/faust#606",
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="Faust expands every gap in the offsets into a list, and the message of each run leaves a gap of up to "
        "thousands of offsets.",
        test=f"{TRANSPORT_TESTS}::test_gaps_in_the_offsets_need_no_bookkeeping",
        overrides=of(CONSUMER, _add_gap="async (self, tp, offset_from, offset_to)"),
        issue="faust-streaming/faust#282",
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="A late acknowledgement from before a rebalance would be committed, although its run is read again.",
        test=f"{TRANSPORT_TESTS}::test_runs_from_before_an_assignment_are_not_committed_and_read_again",
        overrides=of(
            CONSUMER,
            on_partitions_revoked="async (self, revoked)",
            on_partitions_assigned="async (self, assigned, generation_id=0)",
        ),
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="Only the time since the last commit shows that a partition is stuck, whatever the cause.",
        test=f"{TRANSPORT_TESTS}::test_a_partition_ages_until_kafka_has_taken_its_last_commit",
        overrides=of(DELEGATE, _commit="async (self, offsets)"),
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="Faust raises before its thread has started, and the loop that makes lists asks early: about one start in "
        "some hundreds ended.",
        test=f"{TRANSPORT_TESTS}::test_nothing_is_assigned_before_the_fetching_thread_has_started",
        overrides=of(DELEGATE, assignment="(self)"),
        issue="faust-streaming/faust#446",
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="The fetching thread may take the partition away between Faust's check and its access. The error ended the "
        "task of the run, and each run behind it failed silently.",
        test=f"{TRANSPORT_TESTS}::test_a_partition_that_a_rebalance_has_just_taken_away_has_no_highwater",
        overrides=of(DELEGATE, highwater="(self, tp)"),
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="A partition that a rebalance has just given has no position yet; Faust would crash the consumer.",
        test=f"{TRANSPORT_TESTS}::test_a_partition_that_a_rebalance_has_just_given_or_taken_is_not_verified",
        overrides=of(f"{DRIVER}.Consumer", verify_event_path="(self, now, tp)"),
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="Faust takes a costly turn of the event loop for each partition: 40 a second with 8 partitions.",
        test=f"{TRANSPORT_TESTS}::test_all_partitions_are_verified_in_one_turn",
        overrides=of(CONSUMER, verify_all_partitions_active="async (self)"),
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="Faust asks for end offsets through the queue of its thread: while one broker hangs, fetches from the "
        "others would wait in it.",
        test=f"{TRANSPORT_TESTS}::test_the_fetching_thread_asks_kafka_for_end_offsets_and_can_be_cancelled",
        uses={
            **of(DELEGATE, _thread="RunConsumerThread"),
            **of("mode.threads.ServiceThread", thread_loop="AbstractEventLoop"),
        },
    ),
    Reach(
        where="streams/kafka/fetcher.py",
        why="To a client that leaves out aborted transactions, Kafka answers with the last stable offset. The lag must "
        "count an open transaction, and a recovery must not end before rows behind one.",
        test=f"{FETCHER_TESTS}::test_end_offsets_are_high_watermarks_whatever_the_client_reads",
        overrides=of(THREAD, _highwaters="async (self, partitions)"),
        sets=of(FETCHER, _isolation_level="int"),
        uses={
            **of(THREAD, _ensure_consumer="(self)"),
            **of(CLIENT, _fetcher="Fetcher"),
            **of(FETCHER, end_offsets="async (self, partitions, timeout_ms)"),
        },
    ),
    Reach(
        where="streams/kafka/fetcher.py",
        why="Faust leaves aborted transactions out only when it uses transactions itself.",
        test=f"{FETCHER_TESTS}::test_the_client_leaves_out_aborted_transactions",
        overrides=of(THREAD, _create_worker_consumer="(self, transport)"),
        sets=of(CLIENT, _isolation_level="str"),
    ),
    Reach(
        where="streams/kafka/batches.py",
        why="A record whose header has a key that is no UTF-8 raises an error at each fetch, and nothing behind it is "
        "ever read. So does a marker that compaction has emptied, and a batch that cannot be decompressed.",
        test="tests/streams/kafka/test_batches.py::test_odd_batches_are_read_and_those_behind_them_too",
        sets=of("aiokafka.consumer.fetcher", MemoryRecords="class"),
    ),
    Reach(
        where="streams/kafka/batches.py",
        why="An error about a wrong checksum names neither the offset nor what to do, and the records before it are "
        "dropped and fetched again for ever.",
        test="tests/streams/kafka/test_batches.py::test_a_damaged_batch_is_named_once_the_records_before_it_are_out",
        overrides=of("aiokafka.consumer.fetcher.PartitionRecords", _unpack_records="(self)"),
        sets=of("aiokafka.consumer.fetcher", PartitionRecords="class"),
        uses=of("aiokafka.consumer.fetcher.PartitionRecords", _records="FetchedRecords", _tp="TP"),
    ),
    Reach(
        where="streams/kafka/transport.py",
        why="What waits ends at the last stable offset, which Faust tells only when it uses transactions itself.",
        test=f"{TRANSPORT_TESTS}::"
        "test_what_waits_ends_at_the_last_stable_offset_and_begins_behind_aborted_records",
        uses=of(THREAD, _ensure_consumer="(self)"),
    ),
    Reach(
        where="streams/kafka/fetcher.py",
        why="A position also passes markers and aborted records: it is committed, and it is where the lag begins. The "
        "documented method for it waits until there is one.",
        test=f"{FETCHER_TESTS}::test_a_position_that_moves_without_records_is_a_run_without_records_once",
        uses={
            **of(CLIENT, _subscription="SubscriptionState"),
            **of(f"{SUBSCRIPTIONS}.SubscriptionState", subscription="property"),
            **of(f"{SUBSCRIPTIONS}.Subscription", assignment="property"),
            **of(f"{SUBSCRIPTIONS}.Assignment", state_value="(self, tp)"),
            **of(f"{SUBSCRIPTIONS}.TopicPartitionState", position="property"),
        },
    ),
    Reach(
        where="streams/kafka/fetcher.py",
        why="All fetched records of a partition go to their agent as one run.",
        test=f"{FETCHER_TESTS}::test_the_thread_hands_over_a_run_for_each_partition_that_has_records",
        overrides=of(
            THREAD,
            _fetch_records="async (self, consumer, active_partitions, timeout=None, max_records=None)",
        ),
        issue="robinhood/faust#563",
    ),
    Reach(
        where="streams/kafka/fetcher.py",
        why="aiokafka waits 0.1 s for a broker while one of its partitions has unread records.",
        test=f"{FETCHER_TESTS}::test_the_client_has_shorter_waits",
        overrides=of(THREAD, on_start="async (self)"),
        sets=of(FETCHER, _prefetch_backoff="float"),
        uses={**of(CLIENT, _fetcher="Fetcher"), **of(THREAD, _ensure_consumer="(self)")},
    ),
    Reach(
        where="streams/kafka/fetcher.py",
        why="Records that come are for the next call: Faust's own wait would hand over those of partitions that a "
        "rebalance has just taken away. Unread records of partitions that Faust has paused make no fetch short.",
        test=f"{FETCHER_TESTS}::test_a_wait_ends_when_records_come_and_leaves_them_to_the_next_call",
        uses={
            **of(FETCHER, _create_fetch_waiter="(self)", _fetch_waiters="set", _notify="(self, future)"),
            **of("mode.threads.ServiceThread", thread_loop="AbstractEventLoop"),
            **of(CONSUMER, _paused_partitions="set"),
        },
    ),
    Reach(
        where="streams/kafka/polls.py",
        why="aiokafka has one longest wait for all fetches, and Faust fixes it at 1.5 s: a partition that was left out "
        "of a fetch, because its records were unread, would wait for the end of it.",
        test="tests/streams/kafka/test_polls.py::test_a_fetch_that_leaves_out_a_partition_is_short_and_all_others_long",
        sets={
            **of(FETCHER, _get_actions_per_node="(self, assignment)"),
            **of(FETCHER, _fetch_max_wait_ms="int", _fetcher_timeout="float"),
        },
        uses={**of(FETCHER, _records="OrderedDict"), **of(CLIENT, _fetcher="Fetcher")},
    ),
    Reach(
        where="streams/kafka/fetcher.py",
        why="A worker that slept believes that it still owns its partitions. Only an answer to a heartbeat shows it.",
        test=f"{FETCHER_TESTS}::test_an_answered_heartbeat_of_the_client_is_noted",
        sets=of("aiokafka.consumer.group_coordinator.GroupCoordinator", _do_heartbeat="async (self)"),
        uses=of(CLIENT, _coordinator="GroupCoordinator"),
    ),
    Reach(
        where="streams/kafka/fetcher.py",
        why="aiokafka keeps an error of the group until somebody asks for records. Faust does not before it has "
        "partitions, so a worker without the right to read its group was silent for a minute and a half.",
        test=f"{FETCHER_TESTS}::"
        "test_a_group_that_our_user_may_not_read_ends_the_process_and_the_client_learns_of_it_too",
        sets=of("aiokafka.consumer.group_coordinator.GroupCoordinator", _push_error_to_user="(self, exc)"),
        uses=of(CLIENT, _coordinator="GroupCoordinator"),
    ),
    Reach(
        where="streams/kafka/fetcher.py",
        why="aiokafka does not move a partition without a committed offset. Records fetched before the end of recovery "
        "are thrown away, and would be lost if a worker crashed before the first commit.",
        test=f"{FETCHER_TESTS}::test_a_partition_without_a_committed_offset_is_read_from_the_beginning",
        overrides=of(THREAD, seek_to_committed="async (self)"),
    ),
    Reach(
        where="streams/kafka/fetcher.py",
        why="When a log no longer has the position, aiokafka goes on at its beginning without a word, even if it is "
        "another topic by now. Told not to, it raises; it also raises for a partition that has no position yet.",
        test=f"{FETCHER_TESTS}::test_a_log_that_ends_before_the_position_ends_the_process",
        overrides=of(
            THREAD,
            _fetch_records="async (self, consumer, active_partitions, timeout=None, max_records=None)",
        ),
    ),
    Reach(
        where="streams/kafka/fetcher.py",
        why="A committed offset means nothing once its topic was made again. Faust commits no metadata, and aiokafka's "
        "documented method returns none.",
        test=f"{FETCHER_TESTS}::test_a_committed_offset_names_the_incarnation_of_its_topic",
        sets=of(CLIENT, commit="async (self, offsets=None)"),
        uses={
            **of(CLIENT, _coordinator="GroupCoordinator"),
            **of(
                "aiokafka.consumer.group_coordinator.GroupCoordinator",
                fetch_committed_offsets="async (self, partitions)",
            ),
        },
    ),
)
