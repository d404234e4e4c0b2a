/** Line icons on a 20-pixel grid, drawn for this viewer. */

import type { Command } from './keys';

const SVG = 'http://www.w3.org/2000/svg';

const PATHS: Partial<Record<Command, string>> = {
  window: 'M10 3a7 7 0 1 0 0 14a7 7 0 1 0 0-14M10 3v14M10 6h5.5M10 9h6.8M10 12h6.5M10 15h4.5',
  pan: 'M10 2.5v15M2.5 10h15M7.5 5L10 2.5L12.5 5M7.5 15l2.5 2.5l2.5-2.5M5 7.5L2.5 10L5 12.5M15 7.5l2.5 2.5l-2.5 2.5',
  zoom: 'M8.5 3a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M12.5 12.5L17.5 17.5M8.5 6v5M7 7.5L8.5 6L10 7.5M7 9.5L8.5 11L10 9.5',
  box: 'M4 5h12v10H4zM2.8 3.8h2.4v2.4H2.8zM14.8 13.8h2.4v2.4h-2.4z',
  invert: 'M3 3h14v14H3zM3 17L17 3M6 12v3M4.5 13.5h3M12.5 6.5h3',
  zoomIn: 'M8.5 3a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M12.5 12.5L17.5 17.5M8.5 6v5M6 8.5h5',
  zoomOut: 'M8.5 3a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M12.5 12.5L17.5 17.5M6 8.5h5',
  fit: 'M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4M7 7h6v6H7z',
  reset: 'M4.5 5v4h4M4.8 9a6 6 0 1 1-.6 3.5',
  delete: 'M4 6h12M8 6V3.5h4V6M5.5 6l.8 11h7.4l.8-11M8.5 9v5M11.5 9v5',
  help: 'M2.5 5.5h15v9h-15zM5 8.2h1M8 8.2h1M11 8.2h1M14 8.2h1M6.5 11.8h7',
};

export function icon(command: Command): SVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('class', 'ovr-icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', PATHS[command] ?? '');
  svg.append(path);
  return svg;
}
