/** The slider under the pane, with how much of the stack is loaded. */

import { el, say, toggle } from './dom';
import { loaded, slice, SLICE_SLIDER } from './words';

export class Scrollbar {
  readonly root = el('div', 'ovr-scrollbar');
  private readonly slider = el('input', 'ovr-slider', {
    type: 'range',
    min: '0',
    max: '0',
    step: '1',
    value: '0',
    'aria-label': SLICE_SLIDER,
  });
  private readonly text = el('span', 'ovr-progress');

  constructor(onMove: (frame: number) => void) {
    this.root.append(this.slider, this.text);
    this.slider.addEventListener('input', () => onMove(Number(this.slider.value)));
    toggle(this.root, false);
  }

  show(frame: number, frames: number): void {
    toggle(this.root, frames > 1);
    this.slider.max = String(frames - 1);
    this.slider.value = String(frame);
    this.slider.setAttribute('aria-valuetext', slice(frame + 1, frames));
  }

  progress(count: number, total: number): void {
    this.slider.style.setProperty('--ovr-loaded', `${(100 * count) / total}%`);
    say(this.text, count < total ? loaded(count, total) : '');
  }
}
