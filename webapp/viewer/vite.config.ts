/**
 * Builds the viewer into one ES module beside its hash and the notices of what is inside.
 *
 * Two builds of the same sources give the same bytes: no time, no path and no chunk hash goes in.
 */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

/** Packages whose published build has their own dependencies copied in. */
const SELF_CONTAINED = new Set(['dcmjs']);

const here = dirname(fileURLToPath(import.meta.url));

/** Name, version and licence text of every package whose code is in the module. */
function notices(): Plugin {
  return {
    name: 'overread-notices',
    generateBundle(_options, bundle) {
      const module = bundle['viewer.js'];
      if (module?.type !== 'chunk') throw new Error('viewer.js was not built');
      const folders = new Set<string>();
      for (const [id, { renderedLength }] of Object.entries(module.modules)) {
        const found = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id.replaceAll('\\', '/'));
        if (found && renderedLength > 0) folders.add(found[0]);
      }
      for (const folder of [...folders]) {
        if (SELF_CONTAINED.has(about(folder).name)) addDependencies(folder, folders);
      }
      const sections = [...folders].sort().map(section);
      this.emitFile({
        type: 'asset',
        fileName: 'THIRD_PARTY_NOTICES.txt',
        source: `viewer.js contains code of the following packages.\n\n${sections.join('\n')}`,
      });
      const code = Buffer.from(module.code);
      const manifest = {
        'viewer.js': {
          sha256: createHash('sha256').update(code).digest('hex'),
          bytes: code.length,
        },
      };
      this.emitFile({
        type: 'asset',
        fileName: 'manifest.json',
        source: `${JSON.stringify(manifest, null, 2)}\n`,
      });
    },
  };
}

interface About {
  name: string;
  version: string;
  license?: string;
  author?: string | { name?: string };
  dependencies?: Record<string, string>;
}

function about(folder: string): About {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as About;
}

function addDependencies(folder: string, folders: Set<string>): void {
  for (const name of Object.keys(about(folder).dependencies ?? {})) {
    const nested = join(folder, 'node_modules', name);
    const found = existsSync(nested) ? nested : join(here, 'node_modules', name);
    if (folders.has(found)) continue;
    folders.add(found);
    addDependencies(found, folders);
  }
}

function section(folder: string): string {
  const { name, version, license, author } = about(folder);
  const file = readdirSync(folder)
    .filter((entry) => /^licen[cs]e/i.test(entry))
    .sort()[0];
  const by = typeof author === 'string' ? author : (author?.name ?? '');
  const text = file
    ? readFileSync(join(folder, file), 'utf8').trim()
    : `Licence: ${license}. ${by}`;
  const line = '-'.repeat(78);
  return `${line}\n${name} ${version} (${license})\n${line}\n${text}\n`;
}

export default defineConfig({
  root: here,
  plugins: [notices()],
  resolve: {
    // Only the XML mesh reader of vtk.js wants it, and its own imports break in a browser.
    alias: { xmlbuilder2: join(here, 'src/stubs/xmlbuilder2.ts') },
  },
  define: { 'process.env.NODE_ENV': '"production"' },
  build: {
    outDir: join(here, '../static/viewer'),
    emptyOutDir: true,
    target: 'es2022',
    reportCompressedSize: false,
    chunkSizeWarningLimit: 4000,
    lib: { entry: join(here, 'src/main.ts'), formats: ['es'], fileName: () => 'viewer.js' },
    rolldownOptions: {
      output: {
        codeSplitting: false,
        // The library mode of vite keeps white space unless told otherwise.
        minify: { compress: true, mangle: true, codegen: { removeWhitespace: true } },
      },
    },
  },
});
