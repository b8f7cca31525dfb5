/** All experiments, in the order of the sections. */

import { type Experiment, SECTIONS } from '../experiment.js';
import { DEVICE_SEARCH } from './device-search.js';
import { EMULATION } from './emulation.js';
import { END_OF_INTERRUPT } from './end-of-interrupt.js';
import { FPU_SWITCHING } from './fpu-switching.js';
import { LIGHT_EXITS } from './light-exits.js';
import { MSR_SWITCHING } from './msr-switching.js';
import { PORT_IO } from './port-io.js';
import { SCALING } from './scaling.js';

export const EXPERIMENTS: readonly Experiment[] = [
  ...PORT_IO,
  ...LIGHT_EXITS,
  ...END_OF_INTERRUPT,
  ...SCALING,
  ...DEVICE_SEARCH,
  ...MSR_SWITCHING,
  ...FPU_SWITCHING,
  ...EMULATION,
].sort((a, b) => SECTIONS.indexOf(a.section) - SECTIONS.indexOf(b.section));
