// Makes ../static/yjs.js: Yjs and its providers as one module, for the pages.
//
// Run it in a copy of this folder, after `npm ci`, with the folder to write to:
//
//     cp -r crdtsync/server/web/bundle /tmp/bundle && cd /tmp/bundle && npm ci && node build.mjs OUT
//
// The lock file names no registry: npm asks the one that it is set up for. It was written by
// `npm install --omit-lockfile-registry-resolved`. tests/pages/test_bundle.py builds it anew.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

const out = process.argv[2]
mkdirSync(out, { recursive: true })
const { metafile } = await build({
  entryPoints: ['yjs.mjs'],
  outfile: join(out, 'yjs.js'),
  banner: { js: '// Made by ../bundle/build.mjs; licences: yjs.LICENSES.txt' },
  bundle: true,
  charset: 'utf8',
  format: 'esm',
  legalComments: 'none',
  metafile: true,
  minify: true,
  target: 'es2022'
})

const folders = new Set(Object.keys(metafile.inputs)
  .map(path => path.match(/^node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0])
  .filter(Boolean))
const notices = [...folders].sort().map(folder => {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json')))
  const file = readdirSync(folder).find(each => /^licen[cs]e/i.test(each))
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`
})
writeFileSync(join(out, 'yjs.LICENSES.txt'), notices.join(`\n${'-'.repeat(72)}\n\n`))
