"""A stored object that is damaged does not keep the others from being found."""

from __future__ import annotations

from collections.abc import Callable

from tests.peers.node import Node
from tests.services.client import Client
from tests.services.corpus import make_study


def test_a_damaged_object_is_answered_without_its_header(start_node: Callable[..., Node]) -> None:
    node = start_node()
    objects = make_study(3, Manufacturer="Maker", KVP="120")
    client = Client(node.address)
    assert client.store(*objects) == [0, 0, 0]
    assert node.stop() == 0  # places them
    damaged = sorted((node.data / "store").glob("20*/**/*.dcm"))[0]
    damaged.write_bytes(b"")
    node.start()
    dataset = objects[0].dataset
    answers = client.find(
        "IMAGE",
        {
            "StudyInstanceUID": dataset.StudyInstanceUID,
            "SeriesInstanceUID": dataset.SeriesInstanceUID,
            "SOPInstanceUID": "",
            "KVP": "",
        },
    )
    assert answers.status == 0
    assert sorted(answers.values("SOPInstanceUID")) == sorted(one.sop_instance_uid for one in objects)
    assert answers.values("KVP").count("120") == 2
