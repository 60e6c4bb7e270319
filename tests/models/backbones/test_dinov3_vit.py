"""DINOv3's transformers: the taps are the published ones, frozen is frozen, weights get in by name or not at all."""

import json
import sys
from importlib.metadata import PackageNotFoundError

import pytest
import torch
import transformers
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from terrazzo.errors import ModelError
from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.backbones.dinov3_vit import SIZES, DinoV3Vit, VitShape
from terrazzo.models.weight_files import weights_sha256

SHAPE = {"channels": 16, "layers": 4, "heads": 2, "inner": 24}
TINY = VitShape(**SHAPE)
SATELLITE = {"image_mean": [0.430, 0.411, 0.296], "image_std": [0.213, 0.156, 0.143]}


def images(batch=2, bands=3, size=(32, 48)):
    return torch.randn((batch, bands, *size), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("size", "exact", "published"),
    [
        ("small", 21_596_544, 21),
        ("small_plus", 28_692_864, 29),
        ("base", 85_660_416, 86),
        ("large", 303_129_600, 300),
        ("huge_plus", 840_592_640, 840),
        ("7b", 6_716_035_072, 6716),
    ],
)
def test_published_sizes_have_the_published_parameters(size, exact, published):
    record = DinoV3Vit(size=size)
    network = record.build_without_external(bands=3)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == exact
    # The paper cuts 21.6 to 21 and 303 to 300.
    assert count / 1e6 == pytest.approx(published, rel=0.03)
    assert all(parameter.is_meta for parameter in network.parameters())
    assert record.layout == FeatureLayout((SIZES[size].channels,) * 4, (16,) * 4, 16)
    config = network.model.config
    assert config.num_register_tokens == 4
    assert (config.rope_theta, config.layer_norm_eps, config.key_bias) == (100.0, 1e-5, False)
    assert config.hidden_act == ("silu" if config.use_gated_mlp else "gelu")


@pytest.mark.parametrize(
    ("size", "taps"),
    [("base", (2, 5, 8, 11)), ("large", (5, 11, 17, 23)), ("huge_plus", (7, 15, 23, 31)), ("7b", (9, 19, 29, 39))],
)
def test_four_taps_are_evenly_spread_and_end_with_the_last_block(size, taps):
    assert DinoV3Vit(size=size).chosen_taps == taps


@pytest.mark.parametrize("gated", [False, True])
def test_a_tap_is_the_normed_state_after_its_block(gated, dinov3_folder):
    """Against the library's own run; a tap one block early, or without its norm, is another map."""
    act = "silu" if gated else "gelu"
    folder = dinov3_folder(use_gated_mlp=gated, hidden_act=act)
    taps = (0, 2, 3)
    network = DinoV3Vit(size=VitShape(**SHAPE, gated=gated), weights=str(folder), taps=taps).build(bands=3)
    model = transformers.DINOv3ViTModel.from_pretrained(folder).eval()
    image = images(size=(32, 48))
    with torch.no_grad():
        run = model(image, output_hidden_states=True)
        maps = network(image)
        for tap, found in zip(taps, maps, strict=True):
            tokens = model.norm(run.hidden_states[tap + 1])[:, 5:]
            wanted = torch.stack([tokens[:, 3 * row : 3 * row + 3] for row in range(2)], dim=1).permute(0, 3, 1, 2)
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
            raw = run.hidden_states[tap + 1][:, 5:].transpose(1, 2).reshape(found.shape)
            early = model.norm(run.hidden_states[tap])[:, 5:].transpose(1, 2).reshape(found.shape)
            assert (found - raw).abs().max() > 0.1
            assert (found - early).abs().max() > 0.01
        last = run.last_hidden_state[:, 5:].transpose(1, 2).reshape(maps[-1].shape)
        torch.testing.assert_close(maps[-1], last, rtol=1e-5, atol=1e-5)


def test_the_librarys_own_backbone_answers_the_same_maps(dinov3_folder):
    folder = dinov3_folder()
    names = ["stage1", "stage4"]
    reference = transformers.DINOv3ViTBackbone.from_pretrained(folder, out_features=names).eval()
    network = DinoV3Vit(size=TINY, weights=str(folder), taps=(0, 3)).build(bands=3)
    with torch.no_grad():
        for wanted, found in zip(reference(images()).feature_maps, network(images()), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_frozen_stays_in_evaluation_mode_and_repeats():
    network = DinoV3Vit(size=TINY).build(bands=3)
    before = network(images())
    network.train()
    assert not any(module.training for module in network.modules())
    torch.nn.Sequential(network).train()
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(one, other) for one, other in zip(network(images()), before, strict=True))
    # In the library's training mode positions are rescaled at random: what has to be kept out.
    network.model.train()
    assert not torch.equal(network(images())[-1], before[-1])


def test_frozen_builds_no_graph_even_for_an_image_that_wants_one():
    network = DinoV3Vit(size=TINY).build(bands=3)
    assert network.frozen
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(one.grad_fn is None for one in network(images().requires_grad_()))


@pytest.mark.parametrize(("unfreeze", "trained"), [(1, {3}), (2, {2, 3}), (True, {0, 1, 2, 3})])
def test_unfreezing_trains_the_last_blocks(unfreeze, trained):
    network = DinoV3Vit(size=TINY, unfreeze=unfreeze).build(bands=3)
    assert not network.frozen
    network.train()
    torch.stack([one.square().mean() for one in network(images())]).sum().backward()
    for name, parameter in network.named_parameters():
        if name.endswith("mask_token"):
            assert not parameter.requires_grad
            continue
        block = next((number for number in range(4) if f"layer.{number}." in name), None)
        expected = block in trained if block is not None else ("norm" in name or unfreeze is True)
        assert parameter.requires_grad == expected, name
        assert (parameter.grad is not None) == expected, name
    again = [one.clone() for one in network(images())]
    assert all(torch.equal(one, other) for one, other in zip(network(images()), again, strict=True))


def test_what_comes_after_the_last_tap_is_neither_run_nor_trained():
    network = DinoV3Vit(size=TINY, taps=(0, 1), unfreeze=True).build(bands=3)
    assert not any(one.requires_grad for block in network.blocks()[2:] for one in block.parameters())
    before = network(images())[-1]
    for block in network.blocks()[2:]:
        for parameter in block.parameters():
            parameter.data.fill_(float("nan"))
    assert torch.equal(network(images())[-1], before)
    with pytest.raises(ModelError, match="only 2 come before the last tap"):
        DinoV3Vit(size=TINY, taps=(0, 1), unfreeze=3).build(bands=3)


def test_computing_activations_again_gives_the_same_gradients():
    gradients = []
    for again in (False, True):
        torch.manual_seed(0)
        network = DinoV3Vit(size=TINY, unfreeze=True).build(bands=3)
        if again:
            network.checkpoint_gradients()
        network(images())[-1].square().mean().backward()
        gradients.append([one.grad for one in network.parameters() if one.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 50
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    with pytest.raises(ModelError, match="frozen backbone keeps no activations"):
        DinoV3Vit(size=TINY).build(bands=3).checkpoint_gradients()


def test_random_frozen_weights_follow_their_own_seed_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = DinoV3Vit(size=TINY).build(bands=3).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    same, other = (DinoV3Vit(size=TINY, seed=seed).build(bands=3).state_dict() for seed in (0, 1))
    name = "model.embeddings.patch_embeddings.weight"
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one[name], other[name])
    # Trained ones follow the run's seed.
    torch.manual_seed(3)
    first = DinoV3Vit(size=TINY, unfreeze=1).build(bands=3).state_dict()[name]
    assert not torch.equal(first, DinoV3Vit(size=TINY, unfreeze=1).build(bands=3).state_dict()[name])


@pytest.mark.parametrize(
    ("bands", "rgb", "seen"), [(1, None, (0, 0, 0)), (5, None, (0, 1, 2)), (4, (3, 2, 1), (2, 1, 0))]
)
def test_three_bands_are_seen(bands, rgb, seen):
    network = DinoV3Vit(size=TINY, rgb=rgb).build(bands=bands)
    three = DinoV3Vit(size=TINY).build(bands=3)
    image = images(bands=bands)
    assert torch.equal(network(image)[-1], three(image[:, list(seen)])[-1])
    with pytest.raises(ModelError, match="names band 4, but the imagery has 3"):
        DinoV3Vit(size=TINY, rgb=(1, 2, 4)).build(bands=3)


def test_maps_follow_the_image_row_by_row():
    """A patch that changes moves its own cell of the first map most."""
    network = DinoV3Vit(size=TINY, taps=(0,)).build(bands=3)
    image = images(1, size=(48, 80))
    changed = image.clone()
    changed[:, :, 16:32, 48:64] += 5
    moved = (network(changed)[0] - network(image)[0]).square().sum(dim=1)[0]
    assert moved.shape == (3, 5)
    assert divmod(int(moved.argmax()), 5) == (1, 3)


def test_weights_of_a_file_are_external(dinov3_folder):
    folder = dinov3_folder()
    network = DinoV3Vit(size=TINY, weights=str(folder / "model.safetensors")).build(bands=3)
    stored = load_file(folder / "model.safetensors")
    state = {name.removeprefix("model.").removeprefix("model."): value for name, value in network.state_dict().items()}
    assert set(state) == set(stored)
    assert all(torch.equal(state[name], stored[name]) for name in stored)
    assert network.external is not None
    assert network.external.sha256 == weights_sha256(folder)
    assert network.external.identifier == f"{folder.name}/model.safetensors"
    assert DinoV3Vit(size=TINY, weights=str(folder), unfreeze=1).build(bands=3).external is None
    assert DinoV3Vit(size=TINY).build(bands=3).external is None


def test_a_network_without_its_weights_is_filled_from_a_folder_of_shards(dinov3_folder):
    record = DinoV3Vit(size=TINY)
    whole, parts = dinov3_folder("whole"), dinov3_folder("parts", shard="8KB")
    network = record.build_without_external(bands=3)
    network.load_external(parts)
    wanted = DinoV3Vit(size=TINY, weights=str(whole)).build(bands=3)
    assert torch.equal(network(images())[-1], wanted(images())[-1])
    assert not any(one.requires_grad or one.is_meta for one in (*network.parameters(), *network.buffers()))
    with pytest.raises(ModelError, match="makes the weights of dinov3_vit its own"):
        DinoV3Vit(size=TINY, unfreeze=True).build_without_external(bands=3)


def test_weights_in_half_precision_are_used_in_float32(dinov3_folder):
    folder = dinov3_folder()
    file = folder / "model.safetensors"
    save_file({name: value.bfloat16() for name, value in load_file(file).items()}, file)
    network = DinoV3Vit(size=TINY, weights=str(file)).build(bands=3)
    assert {one.dtype for one in network.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (SHAPE | {"layers": 3}, "num_hidden_layers 4, but the size given has 3; set `size`"),
        (SHAPE | {"channels": 32}, "hidden_size 16, but the size given has 32"),
        # Of these two no shape tells.
        (SHAPE | {"heads": 4}, "num_attention_heads 2, but the size given has 4"),
    ],
)
def test_weights_of_another_size_are_refused(shape, said, dinov3_folder):
    with pytest.raises(ModelError, match=said):
        DinoV3Vit(size=VitShape(**shape), weights=str(dinov3_folder())).build(bands=3)


@pytest.mark.parametrize("change", ["missing", "foreign", "shape"])
def test_weights_that_do_not_fit_are_refused_without_settings_beside_them(change, dinov3_folder, tmp_path):
    tensors = load_file(dinov3_folder() / "model.safetensors")
    if change == "missing":
        del tensors["layer.2.norm1.bias"]
    elif change == "foreign":
        tensors["layer.4.norm1.bias"] = torch.zeros(16)
    else:
        tensors["norm.weight"] = torch.zeros(17)
    (tmp_path / "alone").mkdir()
    file = tmp_path / "alone" / "w.safetensors"
    save_file(tensors, file)
    with pytest.raises(ModelError, match="is of another network or size"):
        DinoV3Vit(size=TINY, weights=str(file)).build(bands=3)


def test_weights_of_another_kind_are_refused(dinov3_folder):
    folder = dinov3_folder()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "dinov2"}))
    with pytest.raises(ModelError, match="is of the kind dinov2, not dinov3_vit"):
        DinoV3Vit(size=TINY, weights=str(folder)).build(bands=3)


def test_the_variant_decides_mean_and_deviation(dinov3_folder):
    web = DinoV3Vit(size=TINY, weights=str(dinov3_folder("w")))
    assert web.pretraining(bands=3).mean == (0.485, 0.456, 0.406)
    assert web.pretraining(bands=3).std == (0.229, 0.224, 0.225)
    assert "DINOv3 License" in web.pretraining(bands=3).licence
    satellite = DinoV3Vit(
        size=TINY, weights=str(dinov3_folder("s", processor=SATELLITE)), variant="satellite", rgb=(3, 2, 1)
    )
    expected = satellite.pretraining(bands=4)
    assert expected.mean == pytest.approx((0.296, 0.411, 0.430, 1.137 / 3))
    assert expected.std == pytest.approx((0.143, 0.156, 0.213, 0.512 / 3))
    assert web.pretraining(bands=1).mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))
    assert DinoV3Vit(size=TINY, variant="satellite").pretraining(bands=3) is None


def test_what_lies_beside_the_weights_may_not_contradict_the_variant(dinov3_folder):
    folder = dinov3_folder("x", processor=SATELLITE)
    for use in (lambda record: record.build(bands=3), lambda record: record.pretraining(bands=3)):
        with pytest.raises(ModelError, match=r"image_mean \[0\.43, 0\.411, 0\.296\], but the variant web was trained"):
            use(DinoV3Vit(size=TINY, weights=str(folder)))
    # Where only the name tells, it does.
    named = dinov3_folder("dinov3-vitl16-pretrain-sat493m", processor=None)
    with pytest.raises(ModelError, match="by its name, not of the variant web"):
        DinoV3Vit(size=TINY, weights=str(named)).build(bands=3)
    DinoV3Vit(size=TINY, weights=str(named), variant="satellite").build(bands=3)


def test_the_key_of_features_holds_all_that_decides_them(dinov3_folder):
    folder, other = dinov3_folder("a"), dinov3_folder("b", seed=1)
    base = DinoV3Vit(size=TINY, weights=str(folder))
    key = base.feature_key()
    assert json.loads(json.dumps(key)) == key
    assert key["weights"] == f"sha256 {weights_sha256(folder)}"
    assert key["taps"] == [0, 1, 2, 3]
    assert base.model_copy(update={"weights": str(folder / "model.safetensors")}).feature_key() == key
    changes = [{"weights": str(other)}, {"taps": (3,)}, {"rgb": (3, 2, 1)}, {"variant": "satellite"}, {"weights": None}]
    keys = [base.model_copy(update=change).feature_key() for change in changes]
    assert all(one != key for one in keys)
    random = [DinoV3Vit(size=TINY, seed=seed).feature_key() for seed in (0, 0, 1)]
    assert random[0] == random[1] != random[2]
    assert base.model_copy(update={"unfreeze": 1}).feature_key() is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"taps": (5, 2)}, "must rise and lie between 0 and 11"),
        ({"taps": (2, 12)}, "must rise and lie between 0 and 11"),
        ({"taps": ()}, "must rise"),
        ({"taps": (2, 2)}, "must rise"),
        ({"unfreeze": -1}, "greater than or equal to 1"),
        ({"size": {"channels": 12, "heads": 2}}, "must be a multiple of 4 x heads, 8"),
        ({"size": "giant"}, "small_plus"),
    ],
)
def test_wrong_settings_are_refused(settings, said):
    with pytest.raises(ValidationError, match=said):
        DinoV3Vit(**settings)


def test_without_the_library_its_extra_is_named(monkeypatch):
    def version(name):
        if name == "transformers":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setattr("terrazzo.models.backbones.dinov3.version", version)
    assert DinoV3Vit(size=TINY).feature_key()["weights"].endswith("transformers missing")
    with pytest.raises(ModelError, match=r'install "terrazzo\[dinov3\]"'):
        DinoV3Vit(size=TINY).build(bands=3)


def test_external_path_is_where_frozen_weights_lie(dinov3_folder):
    folder = dinov3_folder()
    assert DinoV3Vit(size=TINY, weights=str(folder)).external_path() == folder
    assert DinoV3Vit(size=TINY, weights=str(folder), unfreeze=1).external_path() is None
    assert DinoV3Vit(size=TINY).external_path() is None


def test_trained_embeddings_are_no_hidden_layers():
    assert DinoV3Vit(size=TINY).build(bands=3).plain_parameters() == frozenset()
    plain = DinoV3Vit(size=TINY, unfreeze=True).build(bands=3).plain_parameters()
    assert {name.removeprefix("model.embeddings.") for name in plain} == {
        "cls_token",
        "register_tokens",
        "patch_embeddings.weight",
    }
