/** All experiments, in the order of the sections. */

import { type Experiment, SECTIONS } from '../experiment.js';
import { EMULATION } from './emulation.js';
import { END_OF_INTERRUPT } from './end-of-interrupt.js';
import { PORT_IO } from './port-io.js';

export const EXPERIMENTS: readonly Experiment[] = [...PORT_IO, ...END_OF_INTERRUPT, ...EMULATION].sort(
  (a, b) => SECTIONS.indexOf(a.section) - SECTIONS.indexOf(b.section),
);
