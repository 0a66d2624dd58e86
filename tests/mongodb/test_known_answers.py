"""What the compatible server answers where it is known what MongoDB answers.

The portable tests ask our queries of it; they are worth something only where these hold.
"""

import threading
import uuid

import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure

from tests.mongodb.translate import dotted

ONE = [{"_id": 1, "a": {"b": 1, "c": 2}, "x": 5}]
OWNERS = [{"_id": 1, "name": "mira"}, {"_id": 2, "name": "Max"}]
PROJECTS = [
    {"_id": 7, "owner": 1, "name": "a.b", "n": 3, "at": None},
    {"_id": 8, "owner": 2, "name": "axb", "n": 1},
    {"_id": 9, "owner": 1, "name": "(c", "n": 2, "at": 5},
]
#: As django-mongodb-backend writes ``select_related("owner")``.
JOIN = [
    {"$lookup": {"from": "owners", "let": {"p": "$owner"}, "as": "o",
                 "pipeline": [{"$match": {"$expr": {"$and": [{"$eq": ["$$p", "$_id"]}]}}}]}},
    {"$unwind": "$o"},
]  # fmt: skip
#: What the pipelines of our queries are made of: documents, stages, MongoDB's answer.
KNOWN = {
    "a join": (PROJECTS, [*JOIN, {"$match": {"o.name": "Max"}},
                          {"$project": {"_id": 1, "o": {"name": 1}}}],
               [{"_id": 8, "o": {"name": "Max"}}]),
    "fields of a document": (ONE, [{"$project": {"a": {"b": 1, "c": 1}}}],
                             [{"_id": 1, "a": {"b": 1, "c": 2}}]),
    "a field added beside others": (ONE, [{"$addFields": {"a": {"z": 9}}}],
                                    [{"_id": 1, "a": {"b": 1, "c": 2, "z": 9}, "x": 5}]),
    "a count": (PROJECTS, [{"$facet": {"group": [{"$group": {"_id": None, "n": {"$sum": 1}}}]}},
                           {"$project": {"n": {"$getField": {"input": {"$arrayElemAt": ["$group", 0]},
                                                             "field": "n"}}}}], [{"n": 3}]),
    "groups": (PROJECTS, [{"$group": {"_id": {"owner": "$owner"}, "n": {"$sum": 1}}},
                          {"$sort": {"_id.owner": 1}}],
               [{"_id": {"owner": 1}, "n": 2}, {"_id": {"owner": 2}, "n": 1}]),
    "distinct values": (PROJECTS, [{"$group": {"_id": None, "s": {"$addToSet": "$owner"}}},
                                   {"$project": {"_id": 0, "n": {"$size": "$s"}}}], [{"n": 2}]),
    "order and slice": (PROJECTS, [{"$sort": {"n": -1}}, {"$skip": 1}, {"$limit": 1},
                                   {"$project": {"n": 1}}],
                        [{"_id": 9, "n": 2}]),
    "letters of either case": (OWNERS, [{"$match": {"name": {"$regex": "MA", "$options": "i"}}},
                                        {"$project": {"_id": 1}}], [{"_id": 2}]),
    "a dot that is a dot": (PROJECTS, [{"$match": {"name": {"$regex": r"a\.b", "$options": ""}}},
                                       {"$project": {"_id": 1}}], [{"_id": 7}]),
    "null and missing": (PROJECTS, [{"$match": {"$or": [{"at": {"$exists": False}}, {"at": None}]}},
                                    {"$project": {"_id": 1}}, {"$sort": {"_id": 1}}],
                         [{"_id": 7}, {"_id": 8}]),
    "less is never null": (PROJECTS, [{"$match": {"$and": [{"at": {"$lt": 9}}, {"at": {"$ne": None}}]}},
                                      {"$project": {"_id": 1}}], [{"_id": 9}]),
    "either of two": (PROJECTS, [*JOIN, {"$match": {"$or": [{"name": "axb"}, {"o.name": "mira"}]}},
                                 {"$project": {"_id": 1}}, {"$sort": {"_id": 1}}],
                      [{"_id": 7}, {"_id": 8}, {"_id": 9}]),
    "none of some": (PROJECTS, [{"$match": {"$nor": [{"owner": 1}]}}, {"$project": {"_id": 1}}],
                     [{"_id": 8}]),
    "one of many": (PROJECTS, [{"$match": {"_id": {"$in": [9, 8, 4]}}}, {"$project": {"_id": 1}},
                               {"$sort": {"_id": 1}}], [{"_id": 8}, {"_id": 9}]),
}  # fmt: skip


@pytest.fixture
def database(mongodb):
    with mongodb.client(translated=True, w="majority", journal=True) as client:
        name = f"known_{uuid.uuid4().hex}"
        yield client[name]
        client.drop_database(name)


def answer(database, documents, pipeline):
    database.owners.insert_many(OWNERS)
    database.rows.insert_many([dict(row) for row in documents])
    return list(database.rows.aggregate(pipeline))


@pytest.mark.parametrize("what", KNOWN)
def test_it_answers_as_mongodb_does(what, database):
    documents, pipeline, known = KNOWN[what]
    assert answer(database, documents, pipeline) == known


@pytest.mark.parametrize("what", ["fields of a document", "a field added beside others"])
def test_without_the_translation_it_still_answers_wrong(what, mongodb):
    """Once this fails, the translation can go."""
    documents, pipeline, known = KNOWN[what]
    with mongodb.client() as client:
        database = client[f"known_{uuid.uuid4().hex}"]
        assert answer(database, documents, pipeline) != known
        client.drop_database(database.name)


def test_an_update_says_how_many_it_found_and_sets_what_was_there(database):
    database.rows.insert_many([dict(row) for row in PROJECTS])
    found = database.rows.update_many({"owner": 1}, [{"$set": {"n": {"$add": ["$n", 10]}}}])
    assert found.matched_count == 2
    assert sorted(row["n"] for row in database.rows.find()) == [1, 12, 13]
    same = database.rows.update_many({"owner": 1}, [{"$set": {"owner": {"$literal": 1}}}])
    assert (same.matched_count, same.modified_count) == (2, 0)


def test_what_is_unique_is_there_once_and_null_may_be_twice(database):
    database.rows.create_index(
        [("name", 1)], unique=True, partialFilterExpression={"name": {"$type": "string"}}
    )
    database.rows.insert_many([{"name": "a"}, {"name": None}, {"name": None}])
    with pytest.raises(DuplicateKeyError):
        database.rows.insert_one({"name": "a"})


def test_values_come_back_as_they_went(database):
    value = {"_id": 1, "bytes": b"\0\xff", "text": "ä\u2028\U0001f600",
             "list": [1, None, {"a": []}], "large": 2**62, "part": 0.1, "none": None,
             "yes": True}  # fmt: skip
    database.rows.insert_one(dict(value))
    assert database.rows.find_one() == value


def test_a_transaction_is_seen_by_nobody_until_it_is_committed(database):
    database.rows.insert_one({"_id": 0})
    with database.client.start_session() as session:
        session.start_transaction()
        database.rows.insert_one({"_id": 1}, session=session)
        assert database.rows.count_documents({"_id": 1}) == 0
        session.commit_transaction()
    assert database.rows.count_documents({"_id": 1}) == 1


def test_what_was_aborted_never_was(database):
    database.rows.insert_one({"_id": 0, "n": 1})
    with database.client.start_session() as session:
        session.start_transaction()
        database.rows.update_one({"_id": 0}, {"$set": {"n": 2}}, session=session)
        database.rows.insert_one({"_id": 1}, session=session)
        session.abort_transaction()
    assert list(database.rows.find()) == [{"_id": 0, "n": 1}]


def test_a_transaction_reads_what_was_there_when_it_began(database):
    database.rows.insert_one({"_id": 0, "n": 1})
    with database.client.start_session() as session:
        session.start_transaction()
        assert database.rows.find_one({"_id": 0}, session=session)["n"] == 1
        database.rows.update_one({"_id": 0}, {"$set": {"n": 2}})
        assert database.rows.find_one({"_id": 0}, session=session)["n"] == 1


def test_the_later_of_two_that_write_one_document_fails_and_is_told_to_begin_anew(database):
    database.rows.insert_one({"_id": 0, "n": 0})
    with database.client.start_session() as first, database.client.start_session() as second:
        for session in (first, second):
            session.start_transaction()
        database.rows.update_one({"_id": 0}, {"$inc": {"n": 1}}, session=first)
        with pytest.raises(OperationFailure) as refused:
            database.rows.update_one({"_id": 0}, {"$inc": {"n": 1}}, session=second)
        assert refused.value.has_error_label("TransientTransactionError")
        first.commit_transaction()
    assert database.rows.find_one()["n"] == 1


def test_after_an_error_a_transaction_takes_nothing_more(database):
    database.rows.insert_one({"_id": 0})
    with database.client.start_session() as session:
        session.start_transaction()
        with pytest.raises(DuplicateKeyError):
            database.rows.insert_one({"_id": 0}, session=session)
        with pytest.raises(OperationFailure) as refused:
            database.rows.insert_one({"_id": 1}, session=session)
        assert refused.value.has_error_label("TransientTransactionError")


def test_an_update_that_changes_nothing_holds_up_nobody(database):
    """So it is no lock, whatever it is elsewhere."""
    database.rows.insert_one({"_id": 0, "n": 0})
    with database.client.start_session() as first, database.client.start_session() as second:
        for session in (first, second):
            session.start_transaction()
            database.rows.update_one({"_id": 0}, {"$set": {"n": 0}}, session=session)
        first.commit_transaction()
        second.commit_transaction()


def test_single_updates_at_once_are_all_counted(database):
    database.rows.insert_one({"_id": 0, "n": 0})

    def count():
        for _ in range(25):
            database.rows.update_many({"_id": 0}, [{"$set": {"n": {"$add": ["$n", 1]}}}])

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.rows.find_one()["n"] == 100


def test_the_translation_leaves_expressions_and_plain_fields_alone():
    stage = {"a": {"$literal": 1}, "b": 1, "c": {}, "d": {"e": {"f": "$x"}, "g": {"$add": [1, 2]}}}
    assert dotted(stage) == {"a": {"$literal": 1}, "b": 1, "c": {}, "d.e.f": "$x",
                             "d.g": {"$add": [1, 2]}}  # fmt: skip
