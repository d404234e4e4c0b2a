/**
 * The notice in the pixels on screen, so that a copied or captured image carries it.
 *
 * It runs along the lower edge: across the image it would cover lung. Exports draw their own on
 * the server, since the original pixels are untouched by this.
 */

import { NOTICE } from './words';

/** Draw the notice onto what was just rendered. */
export function burn(canvas: HTMLCanvasElement): void {
  const context = canvas.getContext('2d');
  if (!context || canvas.width < 2) return;
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.width / ratio;
  const size = Math.min(17, Math.max(9, width / 30)) * ratio;
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textAlign = 'center';
  context.textBaseline = 'bottom';
  context.lineJoin = 'round';
  context.lineWidth = size / 5;
  context.strokeStyle = 'rgba(0, 0, 0, 0.85)';
  context.fillStyle = 'rgb(255, 176, 32)';
  const x = canvas.width / 2;
  const y = canvas.height - 8 * ratio;
  context.strokeText(NOTICE, x, y);
  context.fillText(NOTICE, x, y);
  context.restore();
}
