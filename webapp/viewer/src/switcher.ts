/** Buttons for the images of a case that has several. */

import { el, toggle } from './dom';
import { IMAGES } from './words';

export class Switcher {
  readonly root = el('div', 'ovr-switcher', { role: 'group', 'aria-label': IMAGES });

  constructor(private readonly onChoose: (id: string) => void) {
    toggle(this.root, false);
  }

  show(images: readonly { id: string; label: string }[], current: string | null): void {
    toggle(this.root, images.length > 1);
    const focused = this.root.contains(document.activeElement);
    this.root.replaceChildren(
      ...images.map(({ id, label }, index) => {
        const button = el(
          'button',
          'ovr-image',
          {
            type: 'button',
            'aria-pressed': String(id === current),
          },
          label || String(index + 1),
        );
        button.addEventListener('click', () => this.onChoose(id));
        return button;
      }),
    );
    if (focused) this.root.querySelector<HTMLElement>('[aria-pressed="true"]')?.focus();
  }
}
