/** Wheel movements to slices: a notch is a slice, a touchpad's small steps add up to one. */

const NOTCH = { pixels: 100, lines: 3 };
const PIXELS = 0; // WheelEvent.DOM_DELTA_PIXEL

export class WheelSteps {
  private rest = 0;

  /** Slices to move for one wheel event, usually -1, 0 or 1. */
  take(deltaY: number, deltaMode: number): number {
    const notches = deltaY / (deltaMode === PIXELS ? NOTCH.pixels : NOTCH.lines);
    if (Math.abs(notches) >= 0.5) {
      this.rest = 0;
      return Math.sign(notches) * Math.max(1, Math.round(Math.abs(notches)));
    }
    this.rest = Math.sign(notches) === Math.sign(this.rest) ? this.rest + notches : notches;
    const whole = Math.trunc(this.rest) || 0; // never -0
    this.rest -= whole;
    return whole;
  }
}
