// The cache's pages: how a member lies in one in each type, where a slice's members are, writing new tokens, rotating whole
// pages. May call vector/ and rows/ (angles); called by commands and by attention/.
export { append } from "./append";
export { rotatePages } from "./rotate-pages";
