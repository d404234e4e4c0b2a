/**
 * Window and level by dragging.
 *
 * The library's tool works in stored values and searches all pixels on every move. This one only
 * reports how far the pointer went; the viewer knows the units.
 */

import { BaseTool, type Types } from '@cornerstonejs/tools';

export const WINDOW_DRAG = 'ovr-window-drag';

export interface WindowDrag {
  phase: 'start' | 'move';
  /** CSS pixels since the start. */
  dx: number;
  dy: number;
}

export class WindowTool extends BaseTool {
  static override toolName = 'OverreadWindow';

  constructor(
    toolProps = {},
    defaultToolProps = { supportedInteractionTypes: ['Mouse', 'Touch'] },
  ) {
    super(toolProps, defaultToolProps);
  }

  /** Called before any tool acts on the press; false lets a box under the pointer take it. */
  preMouseDownCallback = (evt: Types.EventTypes.InteractionEventType): boolean => {
    report(evt.detail.element, { phase: 'start', dx: 0, dy: 0 });
    return false;
  };

  preTouchStartCallback = this.preMouseDownCallback;

  mouseDragCallback(evt: Types.EventTypes.InteractionEventType): void {
    const { element, startPoints, currentPoints } = evt.detail;
    const [x, y] = currentPoints.canvas;
    const [fromX, fromY] = startPoints.canvas;
    report(element, { phase: 'move', dx: x - fromX, dy: y - fromY });
  }

  touchDragCallback(evt: Types.EventTypes.InteractionEventType): void {
    this.mouseDragCallback(evt);
  }
}

function report(element: HTMLElement, detail: WindowDrag): void {
  element.dispatchEvent(new CustomEvent<WindowDrag>(WINDOW_DRAG, { detail }));
}
