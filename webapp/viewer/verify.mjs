/** Builds the viewer anew beside the committed one and fails if a single byte differs. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));
const committed = join(here, '../static/viewer');
const fresh = mkdtempSync(join(tmpdir(), 'viewer-'));
try {
  await build({
    configFile: join(here, 'vite.config.ts'),
    logLevel: 'warn',
    build: { outDir: fresh, emptyOutDir: true },
  });
  const names = [...new Set([...readdirSync(committed), ...readdirSync(fresh)])].sort();
  const different = names.filter((name) => !same(join(committed, name), join(fresh, name)));
  if (different.length) {
    console.error(
      `Not what the sources build: ${different.join(', ')}. Run make viewer and commit.`,
    );
    process.exitCode = 1;
  } else {
    console.log(`The committed viewer is what its sources build (${names.length} files).`);
  }
} finally {
  rmSync(fresh, { recursive: true });
}

function same(a, b) {
  try {
    return readFileSync(a).equals(readFileSync(b));
  } catch {
    return false;
  }
}
