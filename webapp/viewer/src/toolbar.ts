/** The row of tools above the pane. */

import { el, toggle } from './dom';
import { icon } from './icons';
import type { Command, Tool } from './keys';
import { sameWindow, type GreyWindow, type NamedWindow } from './window';
import { BUTTONS, CUSTOM_WINDOW, TOOLBAR, WINDOW_PRESET } from './words';

const GROUPS: readonly (readonly Command[])[] = [
  ['window', 'pan', 'zoom', 'box'],
  ['zoomOut', 'zoomIn', 'fit'],
  ['invert', 'reset'],
  ['delete', 'help'],
];
const KEYS: Partial<Record<Command, string>> = {
  window: 'W',
  pan: 'P',
  zoom: 'Z',
  box: 'B',
  zoomIn: '+',
  zoomOut: '-',
  fit: '=',
  invert: 'I',
  reset: 'Space',
  delete: 'Delete',
  help: '?',
};

export class Toolbar {
  readonly root = el('div', 'ovr-toolbar', { role: 'toolbar', 'aria-label': TOOLBAR });
  private readonly buttons = new Map<Command, HTMLButtonElement>();
  private readonly select = el('select', 'ovr-select', { 'aria-label': WINDOW_PRESET });
  private presets: readonly NamedWindow[] = [];

  constructor(onCommand: (command: Command) => void, onPreset: (preset: NamedWindow) => void) {
    const groups = GROUPS.map((commands) =>
      el('div', 'ovr-group', {}, ...commands.map((command) => this.button(command, onCommand))),
    );
    this.select.addEventListener('change', () => {
      const preset = this.presets[Number(this.select.value)];
      if (preset) onPreset(preset);
    });
    const [tools, ...others] = groups;
    this.root.append(tools!, this.select, ...others);
  }

  private button(command: Command, onCommand: (command: Command) => void): HTMLButtonElement {
    const { name, tip } = BUTTONS[command]!;
    const title = `${tip} (${KEYS[command]})`;
    const button = el(
      'button',
      'ovr-button',
      { type: 'button', title, 'data-command': command },
      icon(command),
      el('span', 'ovr-name', {}, name),
    );
    button.addEventListener('click', () => onCommand(command));
    this.buttons.set(command, button);
    return button;
  }

  /** The windows to choose from; none for colour. */
  setPresets(presets: readonly NamedWindow[]): void {
    this.presets = presets;
    const options = presets.map((preset, index) =>
      el('option', '', { value: String(index) }, preset.name),
    );
    this.select.replaceChildren(
      el('option', '', { value: '', disabled: '' }, CUSTOM_WINDOW),
      ...options,
    );
    toggle(this.select, presets.length > 0);
  }

  showWindow(window: GreyWindow): void {
    const index = this.presets.findIndex((preset) => sameWindow(preset, window));
    this.select.value = index < 0 ? '' : String(index);
  }

  showTool(tool: Tool): void {
    for (const name of ['window', 'pan', 'zoom', 'box'] as const) this.press(name, name === tool);
  }

  press(command: Command, pressed: boolean): void {
    this.buttons.get(command)?.setAttribute('aria-pressed', String(pressed));
  }

  enable(command: Command, enabled: boolean): void {
    const button = this.buttons.get(command);
    if (button) button.disabled = !enabled;
  }

  focus(command: Command): void {
    this.buttons.get(command)?.focus();
  }
}
