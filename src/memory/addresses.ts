/**
 * The kinds of address, kept apart by type. Linear addresses are `bigint` (64 bits); physical addresses are
 * numbers (at most 52 bits) branded by whose physical address space they belong to.
 */

declare const brand: unique symbol;

export type LinearAddress = bigint;
export type HostPhysicalAddress = number & { readonly [brand]: 'host-physical' };
export type GuestPhysicalAddress = number & { readonly [brand]: 'guest-physical' };

export const hostPhysical = (address: number): HostPhysicalAddress => address as HostPhysicalAddress;
export const guestPhysical = (address: number): GuestPhysicalAddress => address as GuestPhysicalAddress;

export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;
