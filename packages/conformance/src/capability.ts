/**
 * What a harness says about a capability: `true`, or why it is left out. The reason is printed beside every check
 * that is left out for it.
 */
export type Capability = true | { readonly leftOut: string }
