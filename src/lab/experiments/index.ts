/** All experiments, in the order of the sections. */

import { type Experiment, SECTIONS } from '../experiment.js';
import { DEVICE_SEARCH } from './device-search.js';
import { DOORBELLS } from './doorbells.js';
import { EMULATION } from './emulation.js';
import { END_OF_INTERRUPT } from './end-of-interrupt.js';
import { FPU_SWITCHING } from './fpu-switching.js';
import { IRQ_ROUTING } from './irq-routing.js';
import { LATER } from './later.js';
import { LIGHT_EXITS } from './light-exits.js';
import { MEMORY_REGIONS } from './memory-regions.js';
import { MEMORY_SLOTS } from './memory-slots.js';
import { MSR_SWITCHING } from './msr-switching.js';
import { PORT_IO } from './port-io.js';
import { SCALING } from './scaling.js';
import { SINGLE_MECHANISMS } from './single-mechanisms.js';
import { TIMERS } from './timers.js';

export const EXPERIMENTS: readonly Experiment[] = [
  ...PORT_IO,
  ...LIGHT_EXITS,
  ...SINGLE_MECHANISMS,
  ...END_OF_INTERRUPT,
  ...SCALING,
  ...IRQ_ROUTING,
  ...MEMORY_REGIONS,
  ...MEMORY_SLOTS,
  ...DEVICE_SEARCH,
  ...DOORBELLS,
  ...MSR_SWITCHING,
  ...FPU_SWITCHING,
  ...EMULATION,
  ...LATER,
  ...TIMERS,
].sort((a, b) => SECTIONS.indexOf(a.section) - SECTIONS.indexOf(b.section));
