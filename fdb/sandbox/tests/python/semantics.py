"""What the semantics tests share: the database that they are run against, and a prefix for each test."""

import os
import tempfile
import threading
import unittest

import fdb

fdb.api_version(730)

ROOT = b"fdb-semantics/"


def on_sandbox():
    return "FDB_TEST_CLUSTER_FILE" not in os.environ


def with_faults():
    return bool(os.environ.get("FDB_SANDBOX_FAULTS"))


def cluster_file(name, faults=None):
    """A cluster file of its own for each name: in the sandbox that is a database of its own."""
    path = os.path.join(tempfile.mkdtemp(), name)
    with open(path, "w") as file:
        if faults is not None:
            file.write("# sandbox: %s\n" % faults)
        file.write("%s:sandbox@127.0.0.1:4500\n" % name)
    return path


def retry(tr, body):
    """Runs a transaction until it is committed, as an application does."""
    while True:
        try:
            result = body(tr)
            tr.commit().wait()
            return result
        except fdb.FDBError as error:
            tr.on_error(error).wait()


class Semantics(unittest.TestCase):
    """A test with a database, and a part of its keys to itself."""

    def setUp(self):
        self.db = fdb.open(os.environ.get("FDB_TEST_CLUSTER_FILE") or SANDBOX_FILE)
        self.prefix = ROOT + self.id().encode() + b"/"
        del self.db[self.prefix : self.prefix + b"\xff"]

    def key(self, name=b""):
        return self.prefix + name

    def fill(self, names, value=lambda name: b"v" + name):
        def body(tr):
            for name in names:
                tr[self.key(name)] = value(name)

        retry(self.db.create_transaction(), body)

    def names(self, rows):
        return [row.key[len(self.prefix) :] for row in rows]

    def assertFails(self, code, call):
        with self.assertRaises(fdb.FDBError) as caught:
            call()
        self.assertEqual(caught.exception.code, code, caught.exception)

    def assertCommitFails(self, code, tr):
        self.assertFails(code, lambda: tr.commit().wait())

    def in_thread(self, body):
        thread = threading.Thread(target=body)
        thread.start()
        return thread


SANDBOX_FILE = cluster_file("semantics")

sandbox_only = unittest.skipUnless(on_sandbox(), "for the sandbox")
# Tests that look at single answers, which faults change on purpose.
calm = unittest.skipIf(with_faults(), "for a calm database")
