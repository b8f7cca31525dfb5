/**
 * All benchmarks, one after the other: npm run bench. Names of some as arguments run only those; --quick runs each once,
 * to see that it works.
 */

import '../bin/tune-v8.js';
import { QUICK } from './sampling.js';

const SUITES = [
  ['decoder', () => import('./decoder.js').then(({ decoder }) => decoder())],
  ['interpreter', () => import('./interpreter.js').then(({ interpreter }) => interpreter())],
  ['exits', () => import('./exits.js').then(({ exits }) => exits())],
];

const wanted = process.argv.slice(2).filter((word) => word !== '--quick');
const unknown = wanted.filter((name) => !SUITES.some(([suite]) => suite === name));
if (unknown.length > 0) {
  console.error(
    `no such benchmark: ${unknown.join(', ')} (there are ${SUITES.map(([name]) => name).join(', ')})`,
  );
  process.exit(2);
}
if (QUICK) console.log('quick: one sample of little work each; the figures mean nothing');
for (const [name, run] of SUITES) if (wanted.length === 0 || wanted.includes(name)) await run();
