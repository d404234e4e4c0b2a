/** The list of keys, over the pane. */

import { el, toggle } from './dom';
import { HELP } from './words';

export class Help {
  readonly root = el('div', 'ovr-help', { role: 'dialog', 'aria-label': HELP.title });
  private readonly close = el('button', 'ovr-retry', { type: 'button' }, HELP.close);

  constructor(onClose: () => void) {
    const table = (rows: readonly (readonly [string, string])[]): HTMLElement =>
      el(
        'dl',
        'ovr-keys',
        {},
        ...rows.flatMap(([keys, does]) => [el('dt', '', {}, keys), el('dd', '', {}, does)]),
      );
    this.root.append(
      el('h2', 'ovr-help-title', {}, HELP.title),
      el('div', 'ovr-help-columns', {}, table(HELP.keys), table(HELP.mouse)),
      el('p', 'ovr-help-scope', {}, HELP.scope),
      this.close,
    );
    this.close.addEventListener('click', onClose);
    toggle(this.root, false);
  }

  get isOpen(): boolean {
    return !this.root.hidden;
  }

  show(open: boolean): void {
    toggle(this.root, open);
    if (open) this.close.focus();
  }
}
