"""The REST API, called as somebody."""

import json

import pytest

from accounts import actions as accounts


@pytest.fixture
def call(client):
    """Call the REST API as somebody: ``call(user, "post", "projects", {...})`` → status, body."""

    def _call(user, method, path, data=None):
        headers = {}
        if user is not None:
            _, secret = accounts.create_token(user, "test", ["api"], by=user)
            headers["Authorization"] = f"Bearer {secret}"
        send = getattr(client, method)
        body = {"data": data, "content_type": "application/json"} if data is not None else {}
        answer = send(f"/api/v1/{path}", headers=headers, **body)
        return answer.status_code, json.loads(answer.content or b"null")

    return _call
