"""Pets over the API, as their owner, a stranger and staff see them."""


def test_an_owner_registers_a_pet(alice_with_key):
    response = alice_with_key.post("/api/v1/pets/", {"name": "Rex", "species": "dog"})
    assert response.status_code == 201
    assert response.headers["Location"] == response.json()["url"]


def test_the_server_answers(server):
    import requests

    answer = requests.get(f"{server.url}/api/v1/pets/", headers={"X-API-Key": server.key})
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == 25
