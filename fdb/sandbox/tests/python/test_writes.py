import struct

import fdb

from semantics import Semantics, calm, retry


def le(n, size=8):
    return n.to_bytes(size, "little")


class Atomics(Semantics):
    """Each operation on rows of every kind, read back in the same transaction and after it."""

    CASES = [
        ("add", [(None, le(5, 2), le(5, 2)), (le(255, 1), le(1, 2), le(256, 2)), (le(65535, 2), le(2, 2), le(1, 2)), (le(3, 4), le(4, 1), le(7, 1))]),
        ("bit_and", [(None, b"\x0f", b"\x0f"), (b"\x3c", b"\x0f", b"\x0c"), (b"\x3c", b"\xff\xff", b"\x3c\x00"), (b"", b"\x0f", b"\x00")]),
        ("bit_or", [(None, b"\x0f", b"\x0f"), (b"\x30", b"\x0f\x01", b"\x3f\x01")]),
        ("bit_xor", [(None, b"\x0f", b"\x0f"), (b"\x3c", b"\x0f", b"\x33"), (b"\x3c\x01", b"\x0f", b"\x33")]),
        ("append_if_fits", [(None, b"x", b"x"), (b"ab", b"cd", b"abcd")]),
        ("max", [(None, le(3), le(3)), (le(9), le(3), le(9)), (le(2), le(3), le(3)), (le(9, 1), le(3, 2), le(9, 2)), (le(300, 2), le(3, 1), le(44, 1))]),
        ("min", [(None, le(3), le(3)), (le(9), le(3), le(3)), (le(2), le(3), le(2)), (le(2, 1), le(3, 2), le(2, 2))]),
        ("byte_max", [(None, b"b", b"b"), (b"c", b"ba", b"c"), (b"b", b"ba", b"ba")]),
        ("byte_min", [(None, b"b", b"b"), (b"c", b"ba", b"ba"), (b"b", b"ba", b"b")]),
        ("compare_and_clear", [(None, b"b", None), (b"b", b"b", None), (b"c", b"b", b"c")]),
    ]

    def test_operations_on_what_the_database_holds(self):
        for name, cases in self.CASES:
            for before, operand, after in cases:
                with self.subTest(name, before=before, operand=operand):
                    key = self.key(name.encode())

                    def prepare(tr):
                        del tr[key]
                        if before is not None:
                            tr[key] = before

                    retry(self.db.create_transaction(), prepare)

                    def change(tr):
                        getattr(tr, name)(key, operand)
                        seen = tr[key]
                        return seen.value if seen.present() else None

                    tr = self.db.create_transaction()
                    self.assertEqual(retry(tr, change), after, "read in the same transaction")
                    self.assertEqual(self.db[key], after, "read after it")

    def test_operations_on_what_the_transaction_wrote(self):
        for name, cases in self.CASES:
            for before, operand, after in cases:
                with self.subTest(name, before=before, operand=operand):
                    key = self.key(name.encode())

                    def change(tr):
                        del tr[key]
                        if before is not None:
                            tr[key] = before
                        getattr(tr, name)(key, operand)
                        seen = tr[key]
                        return seen.value if seen.present() else None

                    self.assertEqual(retry(self.db.create_transaction(), change), after)
                    self.assertEqual(self.db[key], after)

    def test_operations_on_each_other(self):
        key = self.key(b"sum")
        self.fill([b"sum"], lambda _: le(100))

        def change(tr):
            tr.add(key, le(5))
            tr.add(key, le(7))
            tr.max(key, le(50))
            return tr[key].value

        self.assertEqual(retry(self.db.create_transaction(), change), le(112))
        self.assertEqual(self.db[key], le(112))


class Versionstamps(Semantics):
    def test_keys_and_values_bear_the_stamp_of_the_commit(self):
        def body(tr):
            del tr[self.key() : self.key(b"\xff")]
            prefix = self.key(b"k/")
            tr.set_versionstamped_key(prefix + bytes(10) + struct.pack("<L", len(prefix)), b"by key")
            tr.set_versionstamped_value(self.key(b"v"), b"<" + bytes(10) + b">" + struct.pack("<L", 1))
            return tr.get_versionstamp()

        tr = self.db.create_transaction()
        stamp = retry(tr, body).wait()
        self.assertEqual(struct.unpack(">Q", stamp[:8])[0], tr.get_committed_version())
        self.assertEqual(self.db[self.key(b"k/") + stamp], b"by key")
        self.assertEqual(self.db[self.key(b"v")], b"<" + stamp + b">")

    def test_stamps_grow(self):
        def body(tr):
            prefix = self.key()
            tr.set_versionstamped_key(prefix + bytes(10) + struct.pack("<L", len(prefix)), b"")
            return tr.get_versionstamp()

        stamps = [retry(self.db.create_transaction(), body).wait() for _ in range(5)]
        stamps = [bytes(stamp) for stamp in stamps]
        self.assertEqual(stamps, sorted(set(stamps)))
        found = retry(self.db.create_transaction(), lambda tr: self.names(tr[self.key() : self.key(b"\xff")]))
        self.assertTrue(set(stamps) <= set(found))

    @calm
    def test_what_depends_on_the_stamp_cannot_be_read(self):
        self.fill([b"v"])
        tr = self.db.create_transaction()
        tr.set_versionstamped_value(self.key(b"v"), bytes(10) + struct.pack("<L", 0))
        self.assertFails(1036, lambda: tr[self.key(b"v")].wait())
        tr = self.db.create_transaction()
        prefix = self.key(b"k/")
        tr.set_versionstamped_key(prefix + bytes(10) + struct.pack("<L", len(prefix)), b"")
        self.assertFails(1036, lambda: tr.get_range(self.key(b"k"), self.key(b"l")).to_list())

    @calm
    def test_a_stamp_that_does_not_fit_is_refused(self):
        for position in [1, 2**31 - 1]:
            tr = self.db.create_transaction()
            tr.set_versionstamped_value(self.key(b"v"), bytes(10) + struct.pack("<L", position))
            self.assertCommitFails(2000, tr)

    @calm
    def test_a_transaction_that_only_read_has_no_stamp(self):
        tr = self.db.create_transaction()
        tr[self.key(b"a")].wait()
        stamp = tr.get_versionstamp()
        tr.commit().wait()
        self.assertFails(2021, stamp.wait)
        self.assertEqual(tr.get_committed_version(), -1)


@calm
class OwnWrites(Semantics):
    def test_a_transaction_reads_its_own_writes_and_nobody_else_does(self):
        self.fill([b"a", b"b", b"c"])
        tr = self.db.create_transaction()
        tr[self.key(b"a")] = b"mine"
        del tr[self.key(b"b")]
        tr[self.key(b"d")] = b"new"
        self.assertEqual(self.names(tr[self.key() : self.key(b"\xff")]), [b"a", b"c", b"d"])
        self.assertEqual(tr[self.key(b"a")], b"mine")
        self.assertEqual(self.names(tr.get_range(self.key(), self.key(b"\xff"), reverse=True, limit=2)), [b"d", b"c"])
        other = self.db.create_transaction()
        self.assertEqual(self.names(other[self.key() : self.key(b"\xff")]), [b"a", b"b", b"c"])
        self.assertEqual(other[self.key(b"a")], b"va")

    def test_snapshot_reads_see_own_writes_unless_told_not_to(self):
        tr = self.db.create_transaction()
        tr[self.key(b"a")] = b"mine"
        self.assertEqual(tr.snapshot[self.key(b"a")], b"mine")
        tr.options.set_snapshot_ryw_disable()
        self.assertFalse(tr.snapshot[self.key(b"a")].present())
        self.assertEqual(tr[self.key(b"a")], b"mine")

    def test_reading_own_writes_can_be_switched_off_before_anything_else(self):
        tr = self.db.create_transaction()
        tr.options.set_read_your_writes_disable()
        tr[self.key(b"a")] = b"mine"
        self.assertFalse(tr[self.key(b"a")].present())
        self.assertFails(1034, lambda: tr.watch(self.key(b"a")).wait())
        late = self.db.create_transaction()
        late[self.key(b"a")] = b"mine"
        late.options.set_read_your_writes_disable()
        self.assertCommitFails(2000, late)

    def test_a_clear_of_a_range_and_a_later_write_in_it(self):
        self.fill([b"a", b"b", b"c"])
        tr = self.db.create_transaction()
        tr.clear_range(self.key(b"a"), self.key(b"c"))
        tr[self.key(b"b")] = b"again"
        tr.commit().wait()
        rows = self.db.create_transaction()[self.key() : self.key(b"\xff")]
        self.assertEqual([(row.key[-1:], row.value) for row in rows], [(b"b", b"again"), (b"c", b"vc")])


@calm
class Limits(Semantics):
    def test_keys_values_and_transactions_have_a_greatest_size(self):
        cases = [
            (2102, lambda tr: tr.set(b"k" * 10_001, b"")),
            (2103, lambda tr: tr.set(self.key(b"a"), b"v" * 100_001)),
            (2102, lambda tr: tr.add(b"k" * 10_001, le(1))),
            (2103, lambda tr: tr.bit_or(self.key(b"a"), b"v" * 100_001)),
            (2004, lambda tr: tr.set(b"\xff/a", b"")),
            (2004, lambda tr: tr.clear(b"\xff/a")),
            (2004, lambda tr: tr.clear(b"\xff")),
            (2004, lambda tr: tr.clear_range(b"a", b"\xff\x00")),
            (2005, lambda tr: tr.clear_range(b"b", b"a")),
        ]
        for code, change in cases:
            tr = self.db.create_transaction()
            change(tr)
            self.assertCommitFails(code, tr)
            self.assertFails(code, lambda: tr[self.key(b"a")].wait())
        tr = self.db.create_transaction()
        for n in range(101):
            tr[self.key(b"%d" % n)] = b"v" * 100_000
        self.assertCommitFails(2101, tr)

    def test_what_just_fits_is_committed(self):
        tr = self.db.create_transaction()
        long = self.key() + b"k" * (10_000 - len(self.key()))
        tr[long] = b"v" * 100_000
        tr.commit().wait()
        self.assertEqual(len(self.db[long]), 100_000)
        tr = self.db.create_transaction()
        self.assertFalse(tr[long + b"k"].present(), "a key that is too long is nowhere")

    def test_the_limit_of_a_transaction_can_be_lowered(self):
        tr = self.db.create_transaction()
        tr.options.set_size_limit(1_000)
        tr[self.key(b"a")] = b"v" * 2_000
        self.assertGreater(tr.get_approximate_size().wait(), 2_000)
        self.assertCommitFails(2101, tr)
        for limit in [31, 10_000_001]:
            tr = self.db.create_transaction()
            tr.options.set_size_limit(limit)
            self.assertCommitFails(2006, tr)

    def test_options_that_are_not_there_are_refused(self):
        tr = self.db.create_transaction()
        self.assertFails(2007, lambda: tr._set_option(98_765, None, 0))


@calm
class MetadataVersion(Semantics):
    KEY = b"\xff/metadataVersion"

    def test_the_metadata_version_is_read_and_stamped_without_any_option(self):
        before = self.db[self.KEY]
        tr = self.db.create_transaction()
        tr.set_versionstamped_value(self.KEY, bytes(14))
        tr.commit().wait()
        after = self.db[self.KEY]
        self.assertEqual(len(after), 10)
        self.assertNotEqual(before, after)
        tr = self.db.create_transaction()
        tr[self.KEY] = b"x"
        self.assertCommitFails(2000, tr)


