/** Values with which a key changes nothing. */
export type NeutralKeys = Readonly<Record<string, readonly (number | boolean | string)[]>>;
