"""Two copies of the pack in one host: the first works, and one line says what to do."""

import asyncio

from unit.fake_host import PACK_NAME, ROOT, loaded_pack


def nodes_of(pack):
    return asyncio.run(asyncio.run(pack.comfy_entrypoint()).get_node_list())


def test_a_further_copy_says_where_both_lie_and_brings_nothing(pack, fake_host, tmp_path, caplog):
    copy = tmp_path / "metastyle-main"
    copy.symlink_to(ROOT, target_is_directory=True)
    routes = dict(fake_host.routes)
    with loaded_pack(fake_host, root=copy, name=f"{PACK_NAME}-main") as second:
        assert nodes_of(second) == []
    (line,) = caplog.messages
    assert f"installed twice, in {ROOT} and in {copy};" in line
    assert "Delete one of these folders and restart." in line
    assert fake_host.routes == routes


def test_a_copy_that_is_loaded_again_is_no_other(pack, caplog):
    assert nodes_of(pack) == list(pack.nodes.NODES)
    assert not caplog.messages
