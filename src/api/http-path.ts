/** Visible ASCII, so that a path can neither end the request line of HTTP nor add a header. */
export const httpPath = /^\/[\x21-\x7e]*$/
