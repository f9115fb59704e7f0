import threading
import time

import fdb

from semantics import Semantics, calm, cluster_file, on_sandbox, retry, sandbox_only


@calm
class Conflicts(Semantics):
    def pair(self):
        """Two transactions that began before either commits."""
        pair = [self.db.create_transaction(), self.db.create_transaction()]
        for tr in pair:
            tr.get_read_version().wait()
        return pair

    def test_who_read_what_another_has_written_since_is_refused(self):
        first, second = self.pair()
        second[self.key(b"a")].wait()
        second[self.key(b"b")] = b"2"
        first[self.key(b"a")] = b"1"
        first.commit().wait()
        self.assertCommitFails(1020, second)
        self.assertIsNone(self.db[self.key(b"b")])

    def test_who_only_writes_is_not(self):
        first, second = self.pair()
        second[self.key(b"a")] = b"2"
        second.add(self.key(b"n"), b"\x01")
        first[self.key(b"a")] = b"1"
        first.add(self.key(b"n"), b"\x01")
        first.commit().wait()
        second.commit().wait()
        self.assertEqual(self.db[self.key(b"a")], b"2")
        self.assertEqual(self.db[self.key(b"n")], b"\x02")

    def test_a_snapshot_read_conflicts_with_nobody(self):
        first, second = self.pair()
        second.snapshot[self.key(b"a")].wait()
        list(second.snapshot[self.key() : self.key(b"\xff")])
        second[self.key(b"b")] = b"2"
        first[self.key(b"a")] = b"1"
        first.commit().wait()
        second.commit().wait()

    def test_a_range_conflicts_as_far_as_it_was_read(self):
        self.fill([b"a", b"c", b"e"])
        for written, limit, reverse, code in [
            (b"b", 0, False, 1020),
            (b"b", 1, False, None),
            (b"d", 2, True, 1020),
            (b"b", 2, True, None),
            (b"x", 0, False, 1020),
        ]:
            with self.subTest(written=written, limit=limit, reverse=reverse):
                first, second = self.pair()
                list(second.get_range(self.key(), self.key(b"z"), limit=limit, reverse=reverse))
                second[self.key(b"\xfe")] = b"2"
                first[self.key(written)] = b"1"
                first.commit().wait()
                if code:
                    self.assertCommitFails(code, second)
                else:
                    second.commit().wait()
                del self.db[self.key(written)]

    def test_a_selector_conflicts_with_what_would_lead_it_elsewhere(self):
        self.fill([b"a", b"e"])
        for written, code in [(b"c", 1020), (b"f", None)]:
            first, second = self.pair()
            second.get_key(fdb.KeySelector.first_greater_than(self.key(b"a"))).wait()
            second[self.key(b"\xfe")] = b"2"
            first[self.key(written)] = b"1"
            first.commit().wait()
            if code:
                self.assertCommitFails(code, second)
            else:
                second.commit().wait()

    def test_reading_ones_own_write_conflicts_with_nobody_but_an_operation_does(self):
        first, second = self.pair()
        second[self.key(b"a")] = b"2"
        second[self.key(b"a")].wait()
        first[self.key(b"a")] = b"1"
        first.commit().wait()
        second.commit().wait()
        first, second = self.pair()
        second.add(self.key(b"a"), b"\x01")
        second[self.key(b"a")].wait()
        first[self.key(b"a")] = b"1"
        first.commit().wait()
        self.assertCommitFails(1020, second)

    def test_conflict_ranges_can_be_added_and_left_out(self):
        first, second = self.pair()
        second.add_read_conflict_key(self.key(b"a"))
        second[self.key(b"b")] = b"2"
        first.add_write_conflict_range(self.key(b"a"), self.key(b"b"))
        first.commit().wait()
        self.assertCommitFails(1020, second)
        first, second = self.pair()
        second[self.key(b"a")].wait()
        second[self.key(b"b")] = b"2"
        first.options.set_next_write_no_write_conflict_range()
        first[self.key(b"a")] = b"1"
        first.commit().wait()
        second.commit().wait()
        self.assertFails(2005, lambda: self.db.create_transaction().add_read_conflict_range(b"b", b"a"))

    def test_a_clear_conflicts_with_readers_of_rows_that_were_not_there(self):
        first, second = self.pair()
        second[self.key(b"nothing")].wait()
        second[self.key(b"b")] = b"2"
        first.clear_range(self.key(b"n"), self.key(b"o"))
        first.commit().wait()
        self.assertCommitFails(1020, second)

    def test_the_usual_loop_gets_there(self):
        first, second = self.pair()
        second[self.key(b"a")].wait()
        second[self.key(b"a")] = b"2"
        first[self.key(b"a")] = b"1"
        first.commit().wait()
        tries = []

        def body(tr):
            tries.append(tr[self.key(b"a")].value)
            tr[self.key(b"a")] = b"2"

        try:
            second.commit().wait()
            self.fail("it conflicts")
        except fdb.FDBError as error:
            second.on_error(error).wait()
        retry(second, body)
        self.assertEqual(tries, [b"1"])


class Counting(Semantics):
    def test_sums_by_read_and_write_over_many_threads_lose_nothing(self):
        """Also with faults: those that leave the result open are left out, as a count cannot tell a second from a first."""
        threads, each = 4, 25
        key = self.key(b"sum")

        def add(tr):
            held = tr[key]
            tr[key] = b"%d" % (int(held.value) + 1 if held.present() else 1)

        def run():
            for _ in range(each):
                retry(self.db.create_transaction(), add)

        running = [self.in_thread(run) for _ in range(threads)]
        for thread in running:
            thread.join()
        self.assertEqual(self.db[key], b"%d" % (threads * each))


@calm
class Lifetimes(Semantics):
    def test_a_cancelled_transaction_is_of_no_use_until_it_is_reset(self):
        tr = self.db.create_transaction()
        tr.cancel()
        self.assertFails(1025, lambda: tr[self.key(b"a")].wait())
        tr.reset()
        self.assertFalse(tr[self.key(b"a")].present())

    def test_a_transaction_used_after_its_commit_began_is_refused(self):
        tr = self.db.create_transaction()
        tr[self.key(b"a")] = b"1"
        tr.commit().wait()
        self.assertFails(2017, lambda: tr[self.key(b"a")].wait())
        tr.reset()
        self.assertEqual(tr[self.key(b"a")], b"1")

    def test_a_commit_has_a_version_that_later_readers_are_not_before(self):
        tr = self.db.create_transaction()
        tr[self.key(b"a")] = b"1"
        tr.commit().wait()
        version = tr.get_committed_version()
        self.assertGreater(version, 0)
        later = self.db.create_transaction()
        self.assertGreaterEqual(later.get_read_version().wait(), version)

    def test_a_transaction_of_more_than_five_seconds_is_too_old(self):
        tr = self.db.create_transaction()
        tr[self.key(b"a")].wait()
        time.sleep(5.5)
        tr[self.key(b"a")] = b"1"
        with self.assertRaises(fdb.FDBError) as read:
            tr[self.key(b"b")].wait()
        self.assertEqual(read.exception.code, 1007)
        self.assertCommitFails(1007, tr)

    def test_an_error_that_cannot_be_helped_comes_back_from_on_error(self):
        self.assertFails(2102, lambda: self.db.create_transaction().on_error(fdb.FDBError(2102)).wait())

    def test_retries_have_a_limit(self):
        tr = self.db.create_transaction()
        tr.options.set_retry_limit(2)
        for _ in range(2):
            tr.on_error(fdb.FDBError(1020)).wait()
        self.assertFails(1020, lambda: tr.on_error(fdb.FDBError(1020)).wait())

    def test_errors_are_grouped(self):
        retryable, maybe, not_committed = (
            [code for code in range(1, 3_000) if test(fdb.FDBError(code))]
            for test in (fdb.predicates.is_retryable, fdb.predicates.is_maybe_committed, fdb.predicates.is_retryable_not_committed)
        )
        self.assertEqual(maybe, [1021, 1039])
        self.assertEqual(sorted(maybe + not_committed), retryable)
        for code in (1007, 1009, 1020, 1037):
            self.assertIn(code, not_committed)

    def test_errors_have_their_texts(self):
        self.assertIn(b"conflict", fdb.FDBError(1020).description)
        self.assertEqual(fdb.FDBError(1007).description, b"Transaction is too old to perform reads or be committed")


class Watches(Semantics):
    def watch(self, name):
        return retry(self.db.create_transaction(), lambda tr: tr.watch(self.key(name)))

    def write(self, name, value):
        self.fill([name], lambda _: value)

    def test_a_watch_rings_when_its_row_changes(self):
        self.write(b"a", b"1")
        for change in (lambda: self.write(b"a", b"2"), lambda: self.db.clear(self.key(b"a")), lambda: self.write(b"a", b"3")):
            watch = self.watch(b"a")
            change()
            watch.wait()

    def test_a_watch_rings_by_its_callback(self):
        watch = self.watch(b"a")
        rung = threading.Event()
        watch.on_ready(lambda _: rung.set())
        self.write(b"a", b"1")
        self.assertTrue(rung.wait(10))

    @calm
    def test_a_watch_does_not_ring_for_other_rows_or_before_its_transaction_is_committed(self):
        watch = self.watch(b"a")
        tr = self.db.create_transaction()
        uncommitted = tr.watch(self.key(b"b"))
        self.write(b"c", b"1")
        time.sleep(0.05)
        self.assertFalse(watch.is_ready())
        self.assertFalse(uncommitted.is_ready())
        tr.reset()
        self.assertFails(1025, uncommitted.wait)
        watch.cancel()
        self.assertFails(1101, watch.wait)

    @calm
    def test_a_watch_counts_the_transactions_own_write(self):
        self.write(b"a", b"1")
        tr = self.db.create_transaction()
        tr[self.key(b"a")] = b"2"
        watch = tr.watch(self.key(b"a"))
        tr.commit().wait()
        time.sleep(0.05)
        self.assertFalse(watch.is_ready())
        self.write(b"a", b"1")
        watch.wait()


@calm
class TimeOuts(Semantics):
    def test_a_time_out_ends_a_transaction(self):
        tr = self.db.create_transaction()
        tr.options.set_timeout(10)
        time.sleep(0.1)
        self.assertFails(1031, lambda: tr[self.key(b"a")].wait())
        self.assertFails(1031, lambda: tr.on_error(fdb.FDBError(1020)).wait())


@sandbox_only
@calm
class Sandbox(Semantics):
    """What only the sandbox has."""

    def test_each_connection_string_is_a_database_of_its_own(self):
        one, another, same = (fdb.open(cluster_file(name)) for name in ("one", "another", "one"))
        one[b"a"] = b"1"
        self.assertIsNone(another[b"a"])
        self.assertEqual(same[b"a"], b"1")

    def test_a_cluster_file_asks_for_faults_and_a_special_key_changes_them(self):
        db = fdb.open(cluster_file("faulty", "seed=1 unknown_committed=1"))
        tr = db.create_transaction()
        tr[b"a"] = b"1"
        self.assertCommitFails(1021, tr)
        control = db.create_transaction()
        control.options.set_special_key_space_enable_writes()
        control[b"\xff\xff/sandbox/faults"] = b""
        control.commit().wait()
        self.assertEqual(db[b"a"], b"1")
        counts = db.create_transaction()
        self.assertIn(b"unknown_committed=1 ", counts[b"\xff\xff/sandbox/counts"].value)

    def test_a_bad_cluster_file_is_refused(self):
        self.assertFails(1515, lambda: fdb.impl.create_database("/nonexistent/fdb.cluster"))
        self.assertFails(2104, lambda: fdb.impl.create_database(cluster_file("bad name")))
        self.assertFails(2104, lambda: fdb.impl.create_database(cluster_file("fine", "thunder=1")))

    def test_what_is_not_there_says_so(self):
        self.assertFails(2108, lambda: self.db.open_tenant(b"tenant"))
        self.assertTrue(on_sandbox())


class Directories(Semantics):
    def test_the_bindings_own_layers_work(self):
        """The directory layer and the tuple layer, which read and write as applications do."""
        space = fdb.directory.create_or_open(self.db, ("fdb-semantics", self.id()))
        self.db[space.pack(("a", 1))] = b"1"
        self.assertTrue(fdb.directory.exists(self.db, ("fdb-semantics", self.id())))
        self.assertEqual([space.unpack(key) for key, _ in self.db[space.range()]], [("a", 1)])
        fdb.directory.remove(self.db, ("fdb-semantics", self.id()))
        self.assertFalse(fdb.directory.exists(self.db, ("fdb-semantics", self.id())))
