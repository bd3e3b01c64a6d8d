"""GLM-API's endpoints: their bodies and their routes."""
