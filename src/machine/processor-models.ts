/** Generations of the host's processor, by what they can do in VMX operation; their costs are the cost model's. */

import type { VmxFeature } from '../architecture/vmx/vmcs-fields.js';

export type ProcessorModel = 'nehalem' | 'ivy-bridge-ep';

export const VMX_FEATURES: Readonly<Record<ProcessorModel, readonly VmxFeature[]>> = {
  nehalem: ['preemptionTimer'],
  'ivy-bridge-ep': ['preemptionTimer', 'apicVirtualization'],
};
export const PROCESSOR_MODELS = Object.keys(VMX_FEATURES) as readonly ProcessorModel[];
export const DEFAULT_PROCESSOR: ProcessorModel = 'nehalem';
