import { describe, expect, it } from 'vitest';

import { commandFor, type Key } from '../src/keys';

const press = (key: string, change: Partial<Key> = {}): Key => ({
  key,
  code: '',
  shiftKey: false,
  ctrlKey: false,
  altKey: false,
  metaKey: false,
  ...change,
});

describe('commandFor', () => {
  it.each([
    ['ArrowUp', 'previous'],
    ['ArrowDown', 'next'],
    ['PageUp', 'pageUp'],
    ['PageDown', 'pageDown'],
    ['Home', 'first'],
    ['End', 'last'],
    ['i', 'invert'],
    ['I', 'invert'],
    [' ', 'reset'],
    ['+', 'zoomIn'],
    ['-', 'zoomOut'],
    ['=', 'fit'],
    ['?', 'help'],
    ['b', 'box'],
    ['w', 'window'],
    ['p', 'pan'],
    ['z', 'zoom'],
    ['Delete', 'delete'],
    ['Escape', 'escape'],
    [']', 'nextImage'],
  ])('%s means %s', (key, command) => {
    expect(commandFor(press(key), 'other')).toBe(command);
  });

  it('finds the presets by the place of the key, whatever the layout types there', () => {
    expect(commandFor(press('!', { code: 'Digit1', shiftKey: true }), 'other')).toBe('preset1');
    expect(commandFor(press('%', { code: 'Digit5', shiftKey: true }), 'other')).toBe('preset5');
  });

  it.each(['a', 'x', 'e', 'm', 'j', 'k', 's', 'n', '1', '0', 'Enter', 'Tab'])(
    'leaves %s to the page',
    (key) => {
      expect(commandFor(press(key, { code: `Key${key}` }), 'other')).toBeNull();
    },
  );

  it('does nothing in a text field', () => {
    expect(commandFor(press('i'), 'text')).toBeNull();
    expect(commandFor(press('Delete'), 'text')).toBeNull();
  });

  it.each(['ctrlKey', 'altKey', 'metaKey'] as const)('does nothing with %s', (modifier) => {
    expect(commandFor(press('i', { [modifier]: true }), 'other')).toBeNull();
  });

  it('leaves its own keys to a slider and to a button', () => {
    expect(commandFor(press('Home'), 'slider')).toBeNull();
    expect(commandFor(press('i'), 'slider')).toBe('invert');
    expect(commandFor(press(' '), 'button')).toBeNull();
    expect(commandFor(press('ArrowDown'), 'button')).toBe('next');
  });
});
