import json

import fdb

from semantics import Semantics, calm, retry


@calm
class Reads(Semantics):
    def test_a_row_reads_as_it_was_written_and_absent_ones_as_none(self):
        self.fill([b"a"])
        self.assertEqual(self.db[self.key(b"a")], b"va")
        self.assertIsNone(self.db[self.key(b"b")])

    def test_empty_values_are_values(self):
        self.fill([b"a"], lambda _: b"")
        self.assertEqual(self.db[self.key(b"a")], b"")

    def test_selectors_lead_to_keys_by_place(self):
        self.fill([b"a", b"c", b"e"])
        tr = self.db.create_transaction()
        cases = [
            (fdb.KeySelector.first_greater_or_equal, b"c", 0, b"c"),
            (fdb.KeySelector.first_greater_than, b"c", 0, b"e"),
            (fdb.KeySelector.last_less_than, b"c", 0, b"a"),
            (fdb.KeySelector.last_less_or_equal, b"c", 0, b"c"),
            (fdb.KeySelector.first_greater_or_equal, b"b", 0, b"c"),
            (fdb.KeySelector.last_less_or_equal, b"d", 0, b"c"),
            (fdb.KeySelector.first_greater_or_equal, b"a", 2, b"e"),
            (fdb.KeySelector.last_less_or_equal, b"e", -2, b"a"),
            (fdb.KeySelector.last_less_than, b"a", 3, b"e"),
        ]
        for make, name, offset, expected in cases:
            found = tr.get_key(make(self.key(name)) + offset)
            self.assertEqual(found, self.key(expected), (make.__name__, name, offset))

    def test_selectors_stop_at_the_ends_of_the_database(self):
        tr = self.db.create_transaction()
        self.assertEqual(tr.get_key(fdb.KeySelector.last_less_than(b"")), b"")
        self.assertEqual(tr.get_key(fdb.KeySelector.first_greater_or_equal(b"\xff")), b"\xff")
        self.assertFails(2004, lambda: tr.get_key(fdb.KeySelector.first_greater_or_equal(b"\xff\x01")).wait())

    def test_selectors_see_the_transactions_own_writes(self):
        self.fill([b"a", b"c", b"e"])
        tr = self.db.create_transaction()
        del tr[self.key(b"c")]
        tr[self.key(b"d")] = b"x"
        self.assertEqual(tr.get_key(fdb.KeySelector.first_greater_than(self.key(b"a"))), self.key(b"d"))
        self.assertEqual(tr.get_key(fdb.KeySelector.last_less_than(self.key(b"d"))), self.key(b"a"))

    def test_ranges_give_their_rows_in_order_or_against_it_up_to_a_limit(self):
        names = [b"%02d" % n for n in range(20)]
        self.fill(names)
        tr = self.db.create_transaction()
        begin, end = self.key(b"05"), self.key(b"15")
        self.assertEqual(self.names(tr[begin:end]), names[5:15])
        self.assertEqual(self.names(tr.get_range(begin, end, limit=3)), names[5:8])
        self.assertEqual(self.names(tr.get_range(begin, end, limit=3, reverse=True)), [b"14", b"13", b"12"])
        self.assertEqual(self.names(tr.get_range_startswith(self.key(b"1"))), names[10:])
        by_selectors = tr.get_range(fdb.KeySelector.last_less_than(begin), fdb.KeySelector.first_greater_than(end))
        self.assertEqual(self.names(by_selectors), names[4:16])
        self.assertEqual(list(tr.get_range(end, begin)), [])

    def test_every_streaming_mode_gives_every_row_once(self):
        names = [b"%03d" % n for n in range(300)]
        self.fill(names, lambda name: name * 100)
        tr = self.db.create_transaction()
        modes = fdb.StreamingMode
        for mode in [modes.want_all, modes.iterator, modes.small, modes.medium, modes.large, modes.serial]:
            for reverse in [False, True]:
                rows = tr.get_range(self.key(), self.key(b"\xff"), streaming_mode=mode, reverse=reverse)
                self.assertEqual(self.names(rows), names[::-1] if reverse else names, mode)
        exact = tr.get_range(self.key(), self.key(b"\xff"), limit=250, streaming_mode=modes.exact)
        self.assertEqual(self.names(exact), names[:250])

    def test_a_small_answer_is_small_and_says_that_there_is_more(self):
        self.fill([b"%03d" % n for n in range(100)], lambda name: name * 10)
        tr = self.db.create_transaction()
        begin, end = (fdb.KeySelector.first_greater_or_equal(self.key(name)) for name in (b"", b"\xff"))
        rows, count, more = tr._get_range(begin, end, 0, fdb.StreamingMode.small, 1, False).wait()
        self.assertTrue(more)
        self.assertLess(count, 20)
        rows, count, more = tr._get_range(begin, end, 0, fdb.StreamingMode.want_all, 1, False).wait()
        self.assertEqual((count, bool(more)), (100, False))

    def test_exact_mode_needs_a_limit_and_limits_are_not_negative(self):
        tr = self.db.create_transaction()
        begin, end = (fdb.KeySelector.first_greater_or_equal(self.key(name)) for name in (b"", b"\xff"))
        self.assertFails(2210, lambda: tr._get_range(begin, end, 0, fdb.StreamingMode.exact, 1, False).wait())
        self.assertFails(2012, lambda: tr._get_range(begin, end, -5, fdb.StreamingMode.want_all, 1, False).wait())
        self.assertFails(2000, lambda: tr._get_range(begin, end, 0, fdb.StreamingMode.iterator, 0, False).wait())

    def test_a_snapshot_stays_as_it_was(self):
        self.fill([b"a"])
        tr = self.db.create_transaction()
        tr.get_read_version().wait()
        self.fill([b"a", b"b"], lambda _: b"later")
        self.assertEqual(tr[self.key(b"a")], b"va")
        self.assertEqual(self.names(tr[self.key() : self.key(b"\xff")]), [b"a"])

    def test_an_old_version_can_be_read_again_and_one_to_come_cannot(self):
        self.fill([b"a"])
        tr = self.db.create_transaction()
        version = tr.get_read_version().wait()
        self.fill([b"a"], lambda _: b"later")
        again = self.db.create_transaction()
        again.set_read_version(version)
        self.assertEqual(again[self.key(b"a")], b"va")
        future = self.db.create_transaction()
        future.set_read_version(version + 400_000_000)
        self.assertFails(1009, lambda: future[self.key(b"a")].wait())
        ancient = self.db.create_transaction()
        ancient.set_read_version(1)
        self.assertFails(1007, lambda: ancient[self.key(b"a")].wait())

    def test_system_keys_are_out_of_reach_without_the_option(self):
        tr = self.db.create_transaction()
        self.assertFails(2004, lambda: tr[b"\xff/keyServers/"].wait())
        self.assertFails(2004, lambda: tr.get_range(b"\xff", b"\xff\xff").to_list())
        tr = self.db.create_transaction()
        tr.options.set_read_system_keys()
        self.assertGreater(len(tr.get_range(b"\xff/keyServers/", b"\xff/keyServers0").to_list()), 0)

    def test_sizes_and_places_are_told(self):
        self.fill([b"%03d" % n for n in range(100)], lambda _: b"x" * 100)
        tr = self.db.create_transaction()
        size = tr.get_estimated_range_size_bytes(self.key(), self.key(b"\xff")).wait()
        self.assertGreaterEqual(size, 0)
        points = tr.get_range_split_points(self.key(), self.key(b"\xff"), 3_000).wait()
        self.assertEqual((points[0], points[-1]), (self.key(), self.key(b"\xff")))
        self.assertGreater(len(fdb.locality.get_addresses_for_key(tr, self.key()).wait()), 0)
        self.assertLess(len(list(fdb.locality.get_boundary_keys(self.db, b"", b"\xff"))), 1_000)

    def test_the_special_keys_of_the_cluster_file_and_the_status_are_there(self):
        tr = self.db.create_transaction()
        self.assertIn(b"@", tr[b"\xff\xff/connection_string"].value)
        status = json.loads(tr[b"\xff\xff/status/json"].value)
        self.assertTrue(status["client"]["database_status"]["available"])
        self.assertIn("cluster", status)
        self.assertFails(2113, lambda: tr.get_range(b"\xff\xff/nothing/", b"\xff\xff/nothing0").to_list())


class Reading(Semantics):
    def test_rows_written_by_many_transactions_are_all_found(self):
        for n in range(30):
            self.fill([b"%02d" % n])
        tr = self.db.create_transaction()
        rows = retry(tr, lambda tr: tr.get_range(self.key(), self.key(b"\xff")).to_list())
        self.assertEqual(len(rows), 30)
