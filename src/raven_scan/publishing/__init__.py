"""Quality requirements, and the published names that detection asks for."""
