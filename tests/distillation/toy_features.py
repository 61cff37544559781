"""Networks whose features are tapped, and one step on them."""

from __future__ import annotations

SWINIR = {'type': 'SwinIR', 'upscale': 2, 'in_chans': 3, 'img_size': 16, 'window_size': 8, 'img_range': 1.0,
          'depths': [2, 2], 'embed_dim': 12, 'num_heads': [2, 2], 'mlp_ratio': 2, 'upsampler': 'pixelshuffledirect',
          'resi_connection': '1conv'}  # fmt: skip


RCAN = {'type': 'RCAN', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_group': 2, 'num_block': 1,
        'squeeze_factor': 4, 'upscale': 2}  # fmt: skip


BOTH = {'student': ['body.0', 'conv_after_body'], 'teacher': ['body.0', 'body.1']}


def step(model, data, iteration=1):
    model.feed_data(data)
    model.optimize_parameters(iteration)
    return model.get_current_log()
