/** The cost models that can be chosen by name. */

import type { CostModel } from './cost-model.js';
import { hardwareRoundTrip, overlay } from './overlay.js';
import { TALK_I7 } from './talk-i7.js';

const AGESEN = "Agesen et al., USENIX ATC'12, Table 1: hardware round trip";

/**
 * The generation after the talk's: VM exit and entry are faster, everything else is as on Nehalem. The clock is that
 * of the i7-620M, which "i7 2.6 GHz" can also mean.
 */
export const WESTMERE: CostModel = overlay(TALK_I7, {
  name: 'westmere',
  description: 'Westmere: VM exit and entry measured, everything else as Nehalem; clock of the i7-620M',
  clockInHertz: 2_660_000_000,
  entries: hardwareRoundTrip({ cycles: 761, source: `${AGESEN}, Westmere (1Q10)` }),
});

/** As Westmere, for the processor of the measurements that the predictions are set beside: a Xeon E5-2450. */
export const SANDY_BRIDGE: CostModel = overlay(TALK_I7, {
  name: 'sandy-bridge',
  description: 'Sandy Bridge: VM exit and entry measured, everything else as Nehalem; clock of the E5-2450',
  clockInHertz: 2_100_000_000,
  entries: hardwareRoundTrip({ cycles: 784, source: `${AGESEN}, Sandy Bridge (1Q11)` }),
});

/**
 * The processor of a measurement from before the talk's kernels, for that experiment alone: what a read of an MSR took is
 * known, and the hardware round trip; everything else is as on Nehalem.
 */
export const MEROM: CostModel = overlay(TALK_I7, {
  name: 'merom',
  description: 'Merom: VM exit and entry measured, RDMSR from a commit, everything else as Nehalem',
  clockInHertz: 2_400_000_000,
  entries: {
    ...hardwareRoundTrip({ cycles: 1579, source: `${AGESEN}, Merom (2Q06)` }),
    RDMSR: {
      cycles: 180,
      unit: 'each',
      provenance: 'derived',
      source: 'commit 2345df8c555e: about 900 cycles for five of them',
    },
  },
});

export const COST_MODELS = {
  'talk-i7': TALK_I7,
  westmere: WESTMERE,
  'sandy-bridge': SANDY_BRIDGE,
} as const satisfies Readonly<Record<string, CostModel>>;

export type CostModelName = keyof typeof COST_MODELS;

export const DEFAULT_COST_MODEL: CostModelName = 'talk-i7';
