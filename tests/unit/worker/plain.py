"""The plain way to answer, one question at a time and everything from scratch, to compare with."""

import torch

from inference.families.base import LoadedModel
from inference.protocol import Ask
from inference.worker.pictures import read_image, read_volume


@torch.inference_mode()
def plain_logits(model: LoadedModel, ask: Ask, made: tuple[int, ...] = ()) -> torch.Tensor:
    """Float32 logits [vocabulary] after the prompt and the tokens made so far."""
    pictures = [model.pixel_values(read_image(i)) for turn in ask.turns for i in turn.images]
    pictures += [model.volume_values(read_volume(v)) for turn in ask.turns for v in turn.volumes]
    features = iter([model.image_features(p) for p in pictures])
    parts = [
        next(features) if i < 0 else model.embed(torch.tensor([i]))
        for i in [*model.encode(model.render(ask.turns)), *made]
    ]
    hidden = model.decoder(inputs_embeds=torch.cat(parts)[None], use_cache=False)
    return model.logits(hidden.last_hidden_state[0, -1]).float()


def plain_answer(model: LoadedModel, ask: Ask, max_tokens: int) -> tuple[int, ...]:
    """Greedy token ids, each from a full pass over everything before it."""
    made: tuple[int, ...] = ()
    while len(made) < max_tokens:
        made = (*made, int(plain_logits(model, ask, made).argmax()))
        if made[-1] in model.eos_token_ids:
            break
    return made
