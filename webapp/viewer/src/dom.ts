/** Building elements. Text goes in as text only, never as markup. */

type Attributes = Readonly<Record<string, string>>;

/** Make an element with a class, attributes and children; strings become text nodes. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Set text only when it changes, so that a screen reader is not told the same twice. */
export function say(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function toggle(element: HTMLElement, shown: boolean): void {
  element.hidden = !shown;
}
